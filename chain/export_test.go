package chain

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SetCommitBytes makes every batch of more than n bytes a commit of its own.
func SetCommitBytes(t *testing.T, n int) {
	old := commitBytes
	commitBytes = n
	t.Cleanup(func() { commitBytes = old })
}

// OnCommit collects what snap returns after each commit of a change of tip.
func OnCommit(t *testing.T, snap func() *vfs.MemFS) *[]*vfs.MemFS {
	var all []*vfs.MemFS
	committed = func() { all = append(all, snap()) }
	t.Cleanup(func() { committed = func() {} })
	return &all
}

// OnEntering calls move before some of a round of transfers enter the pool.
func OnEntering(t *testing.T, move func()) {
	entering = move
	t.Cleanup(func() { entering = func() {} })
}
