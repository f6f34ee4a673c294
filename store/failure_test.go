package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/consensus"
	"cairn/types"
)

// logLines collects what is logged, as text.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLines) WithGroup(string) slog.Handler            { return l }

func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.lines = append(l.lines, line)
	return nil
}

func (l *logLines) count(prefix string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// TestLog has an ordinary life log nothing but Pebble's own words, for debugging.
func TestLog(t *testing.T) {
	var log logLines
	o := Options{FS: vfs.NewMem(), Log: slog.New(&log)}
	mustClose(t, mustCreate(t, o))
	s := mustOpen(t, o)
	commit(t, s, putSamples)
	mustClose(t, s)
	if n := log.count("DEBUG Pebble: "); n == 0 || n != len(log.lines) {
		t.Errorf("%d lines of Pebble's among %q", n, log.lines)
	}
}

// damageTable closes a store with many accounts, changes a byte in its table, and
// opens it again: nothing that Open reads is there.
func damageTable(t *testing.T, o Options) *Store {
	t.Helper()
	s := mustCreate(t, o)
	commit(t, s, func(b *Batch) {
		for i := range 3000 {
			b.PutAccount(consensus.NewParty(types.Account(fmt.Sprint("account ", i))), int64(i+1))
		}
	})
	mustClose(t, s)
	table := testDir + "/" + dbFile(t, o.FS, "*.sst")
	data := readFile(t, o.FS, table)
	data[100] ^= 1
	writeFile(t, o.FS, table, data)
	return mustOpen(t, o)
}

// TestDamagedTableRead reads from a table in which a byte was changed while the
// store was closed.
func TestDamagedTableRead(t *testing.T) {
	var log logLines
	s := damageTable(t, Options{FS: vfs.NewMem(), Log: slog.New(&log)})
	s.failure.open.Store(false) // what else comes of it, TestDamageIsReported shows
	if err := lastError(s.AllLeaves()); !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") {
		t.Errorf("all leaves: error %q, want ErrDamaged in a line", err)
	}
	var damaged int
	for i := range 3000 {
		balance, err := s.Account(types.Account(fmt.Sprint("account ", i)))
		switch {
		case errors.Is(err, ErrDamaged):
			damaged++
		case err != nil || balance != int64(i+1):
			t.Errorf("account %d: %d, %v", i, balance, err)
		}
	}
	if damaged == 0 || damaged > 300 {
		t.Errorf("%d accounts are in the damaged block", damaged)
	}
	if log.count("ERROR A file of the database is damaged file=data/db/") == 0 {
		t.Errorf("no word of it in %q", log.lines)
	}
	mustClose(t, s)
}

// TestDamageIsReported reads what was changed from an open store: nothing more
// may be written, and whoever runs the node is told.
func TestDamageIsReported(t *testing.T) {
	if !child(t) {
		return
	}
	told := make(chan error, 10)
	s := damageTable(t, Options{FS: vfs.NewMem(), Fatal: func(err error) { told <- err }})
	view := s.Snapshot()
	if err := lastError(view.AllLeaves()); !errors.Is(err, ErrDamaged) {
		t.Errorf("all leaves: error %v", err)
	}
	if err := <-told; !errors.Is(err, ErrFailed) || !errors.Is(err, ErrDamaged) {
		t.Errorf("Fatal is told %v", err)
	}
	b := s.NewBatch()
	b.PutAccount(consensus.NewParty("account 1"), 8)
	if err := b.Commit(); !errors.Is(err, ErrFailed) {
		t.Errorf("commit: error %v, want ErrFailed", err)
	}
}

// TestDamagedTableCompaction has Pebble find the damage when it merges tables.
func TestDamagedTableCompaction(t *testing.T) {
	if !child(t) {
		return
	}
	told := make(chan error, 10)
	s := damageTable(t, Options{FS: vfs.NewMem(), Fatal: func(err error) { told <- err }})
	commit(t, s, func(b *Batch) { b.PutAccount(consensus.NewParty("account 1"), 7) })
	go s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false)
	err := <-told
	if !errors.Is(err, ErrFailed) || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), `"cairn verify"`) {
		t.Errorf("Fatal is told %v", err)
	}
	b := s.NewBatch()
	b.PutAccount(consensus.NewParty("account 1"), 8)
	if err := b.Commit(); !errors.Is(err, ErrFailed) {
		t.Errorf("commit: error %v, want ErrFailed", err)
	}
}

// TestLargeRecord stores a block of the greatest size, which is more than
// Pebble's memory table and the cache hold.
func TestLargeRecord(t *testing.T) {
	o := Options{FS: vfs.NewMem(), CacheBytes: 1}
	s := mustCreate(t, o)
	body := bytes.Repeat([]byte("0123456789abcdef"), 2_000_000)
	commit(t, s, func(b *Batch) {
		b.PutBlock(7, sampleHash, body)
		if b.Len() < len(body) || b.Len() > len(body)+1000 {
			t.Errorf("the batch has %d bytes", b.Len())
		}
	})
	for range 2 {
		if got, err := s.BlockBytes(7, sampleHash); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		mustClose(t, s)
		s = mustOpen(t, o)
	}
	mustClose(t, s)
}
