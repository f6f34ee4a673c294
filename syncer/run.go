package syncer

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"cairn/chain"
	"cairn/store"
)

const (
	// pollEvery is how often neighbours are asked, give or take a fifth.
	pollEvery = 5 * time.Second
	// maxBackoff is the longest that a neighbour which fails is left alone.
	maxBackoff = 5 * time.Minute
)

// standing is how a neighbour did of late. It is guarded by Syncer.mu.
type standing struct {
	failures int
	after    time.Time // not to be asked before, unless somebody wants to know
	logged   string    // the last word that was logged

	last  NeighbourResult // what came of asking it last; zero until then
	clock *time.Duration  // how far its clock was ahead; nil until it said so
}

// Run asks the neighbours every few seconds until ctx ends, or this node stops
// or can no longer write, and returns why. A neighbour that fails is asked more
// and more seldom. Only changes are logged.
func (s *Syncer) Run(ctx context.Context) error {
	defer s.Close()
	for {
		if err := sleep(ctx, jitter(pollEvery)); err != nil {
			return err
		}
		_, err := s.sync(ctx, s.due)
		if ctx.Err() != nil || errors.Is(err, chain.ErrClosed) || errors.Is(err, store.ErrFailed) {
			return err
		}
		if err != nil {
			s.log.Error("sync with the neighbours", "error", err)
		}
	}
}

func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5)
}

// due returns the neighbours that it is time to ask.
func (s *Syncer) due() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	return slices.DeleteFunc(s.sorted(), func(address string) bool {
		return now.Before(s.neighbours[address].after)
	})
}

// working are the words for neighbours that there is nothing to say about.
var working = []string{Adopted, Same, NotHeavier, Self}

// remember notes how the neighbours did, and logs what has changed.
func (s *Syncer) remember(r Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range r.Neighbours {
		standing := s.neighbours[n.Address]
		if standing == nil {
			continue // not a registered one
		}
		standing.last = n
		word := n.Result
		if slices.Contains(working, word) {
			standing.failures, standing.after, word = 0, time.Time{}, Same
		} else {
			pause := min(pollEvery<<min(standing.failures, 10), maxBackoff)
			standing.failures++
			standing.after = time.Now().Add(pause)
		}
		if word != standing.logged {
			s.log.Info("neighbour", "address", n.Address, "result", n.Result, "detail", n.Detail)
			standing.logged = word
		}
	}
}
