package archive

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"cairn/store"
	"cairn/types"
)

// maxFaults is how many faults a Report keeps; the others are only counted.
const maxFaults = 100

// Fault is something in a data directory that is not as it should be: a file, or
// a record of the database.
type Fault struct {
	File string // within the directory, with slashes; empty for a record

	Record    string // what the record is, for people
	Key       []byte // its key
	Height    uint32 // of the block that it is about
	HasHeight bool   // false where it is about no block

	// Reason wraps the rule that does not hold: an error of package consensus, or
	// store.ErrDamaged for a record that does not decode.
	Reason error
}

// String names the file, or the record with its key and height, and the reason.
func (f Fault) String() string {
	if f.File != "" {
		return fmt.Sprintf("%s: %v", f.File, f.Reason)
	}
	height := ""
	if f.HasHeight {
		height = fmt.Sprintf(", height %d", f.Height)
	}
	// The error of a record that does not decode names the record again.
	name := fmt.Sprintf("%s (key %x)", f.Record, f.Key)
	reason := strings.TrimPrefix(f.Reason.Error(), fmt.Sprintf("%v: %s: ", store.ErrDamaged, name))
	return fmt.Sprintf("%s%s: %s", name, height, reason)
}

// Report is what Verify found.
type Report struct {
	Network string // name of the network
	Tip     types.Hash
	Height  uint32 // of the tip

	// What was checked.
	Blocks    uint64 // of the best chain, genesis included
	Side      uint64 // blocks beside it
	Transfers uint64 // of the best chain
	Accounts  uint64 // that exist at the tip
	Pending   uint64 // transfers that wait

	Faults []Fault // the first of them
	Count  uint64  // of all faults

	mu    sync.Mutex
	named map[string]bool // keys of records that have a fault
}

// Sound tells whether no fault was found.
func (r *Report) Sound() bool { return r.Count == 0 }

// add takes note of a fault; only the first of each record counts, since what
// follows from it says nothing new.
func (r *Report) add(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.File == "" {
		if r.named[string(f.Key)] {
			return
		}
		if r.named == nil {
			r.named = make(map[string]bool)
		}
		r.named[string(f.Key)] = true
	}
	r.Count++
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, f)
	}
}

// file takes note of what is wrong with a file, or with the whole database.
func (r *Report) file(err error) {
	f := Fault{File: "db", Reason: err}
	var fault store.FileFault
	if errors.As(err, &fault) {
		f = Fault{File: fault.File, Reason: errors.New(fault.Reason)}
	}
	for _, known := range r.Faults {
		if known.File == f.File && known.Reason.Error() == f.Reason.Error() {
			return
		}
	}
	r.add(f)
}
