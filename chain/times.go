package chain

import (
	"sync/atomic"
	"time"
)

// Part is a part of the work of adding blocks.
type Part int

// The parts. Bodies and Signatures run on all cores, ahead of the others, which
// follow one another; only Salts of a large block run beside the next three.
const (
	Bodies     Part = iota // decoding, ids, Merkle trees and the rules of a body
	Signatures             // verifying them
	Waiting                // of the parts below for the two above
	Salts                  // whether a transfer was there before
	Balances               // reading those that a block needs
	Transfers              // applying them
	Tree                   // hashing the account tree
	Index                  // putting records together
	Commit                 // sorting them, and waiting for the disk
	partCount
)

var partNames = [partCount]string{"bodies", "signatures", "waiting", "salts", "balances", "transfers", "tree", "index", "commit"}

// String names the part in one word.
func (p Part) String() string { return partNames[p] }

// Parts lists all parts.
func Parts() []Part {
	parts := make([]Part, partCount)
	for i := range parts {
		parts[i] = Part(i)
	}
	return parts
}

// times adds up what each part takes, in nanoseconds.
type times [partCount]atomic.Int64

// lap returns a function that books the time since the call before to a part.
func (t *times) lap() func(Part) {
	last := time.Now()
	return func(p Part) {
		now := time.Now()
		t[p].Add(int64(now.Sub(last)))
		last = now
	}
}

// Spent returns how long a part of adding blocks has taken in all since the start,
// summed over cores.
func (m *Manager) Spent(p Part) time.Duration { return time.Duration(m.times[p].Load()) }
