package store

import (
	"errors"

	"cairn/consensus"
)

// Examine lets look read the records of a data directory that may be damaged,
// and changes nothing in it. Where Open refuses a directory because a file or a
// record is not as it was written, the others may still be there to be looked at
// one by one. The view must not be used after look has returned.
//
// The errors are those of Open, ErrDamaged where the database or the network's
// rules cannot be read at all, and what look returns.
func Examine(dir string, o Options, look func(*consensus.Rules, *View) error) error {
	d, err := newDirectory(dir, o)
	if err != nil {
		return err
	}
	if _, err := d.marker(); err != nil {
		return d.advise(err)
	}
	lock, err := d.lock()
	if err != nil {
		return err
	}
	s := newStore(d, o)
	if err = survive(func() error { return s.openPebble(dbName, o.cacheBytes(), true) }); err != nil {
		err = FileFault{File: dbName, Reason: err.Error()}
	} else {
		if s.rules, err = must(&s.View, []byte(genesisKey), Record.rules); err == nil {
			err = look(s.rules, &s.View)
		}
		err = errors.Join(err, s.closePebble())
	}
	return errors.Join(err, lock.Close())
}
