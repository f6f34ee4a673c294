package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/types"
)

// A Seeker finds what a View finds, in any order, in memory tables and in files.
func TestSeeker(t *testing.T) {
	s := mustCreate(t, Options{FS: vfs.NewMem()})
	name := func(i int) types.Account { return types.Account(fmt.Sprint("account ", i)) }
	for round := range 3 {
		commit(t, s, func(b *Batch) {
			for i := round; i < 600; i += 3 {
				b.PutAccount(consensus.NewParty(name(i)), int64(i+1))
				b.PutSalt(name(i), uint64(i%7), Loc{uint32(i), uint32(round)})
			}
		})
		if round < 2 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	seeker := s.Seeker()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		sender, salt := name(rng.IntN(800)), rng.Uint64N(8)
		want, wantFound, _ := s.SaltLoc(sender, salt)
		if got, found, err := seeker.SaltLoc(sender, salt); got != want || found != wantFound || err != nil {
			t.Fatalf("%s, %d: %v, %v, %v; not %v, %v", sender, salt, got, found, err, want, wantFound)
		}
		key, bits := accounts.KeyOf(name(rng.IntN(800))), rng.IntN(20)
		wantLeaves, _ := s.Leaves(key, bits)
		if got, err := seeker.Leaves(key, bits); !slices.Equal(got, wantLeaves) || err != nil {
			t.Fatalf("%d leaves and %v, not %d", len(got), err, len(wantLeaves))
		}
	}
	if err := seeker.Close(); err != nil {
		t.Error(err)
	}
	if err := seeker.Close(); err != nil {
		t.Error(err)
	}
	mustClose(t, s)
}
