package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// failure remembers the first write that failed. How Pebble goes on by itself
// after one is of no use here: it returns nil from a commit whose log it could
// not sync, may panic in the next, and writes a table that does not fit again
// and again. So a failure is noted where it happens, in the file system beneath
// Pebble and before Pebble hears of it; from then on nothing reaches the disk,
// and Commit says why.
type failure struct {
	armed   atomic.Bool // not while opening and closing: their callers get the error
	once    sync.Once
	first   atomic.Pointer[error]
	explain func(error) error
	report  func(error)
}

// note records err and reports it, if it is the first.
func (f *failure) note(err error) {
	if !f.armed.Load() {
		return
	}
	f.once.Do(func() {
		err = f.explain(err)
		f.first.Store(&err)
		f.report(err)
	})
}

// err returns the first failure, or nil.
func (f *failure) err() error {
	if err := f.first.Load(); err != nil {
		return *err
	}
	return nil
}

// guard does one write to the disk.
func (f *failure) guard(write func() error) error {
	if err := f.err(); err != nil {
		time.Sleep(refusalPause)
		return err
	}
	err := write()
	if err != nil {
		f.note(err)
	}
	return err
}

// refusalPause keeps Pebble, which tries a failed flush again at once, from
// making a processor busy until the process ends.
const refusalPause = 100 * time.Millisecond

// explain says what the operator can do about a failed write to the directory.
func (d directory) explain(err error) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %s: see to the disk, then start again: %w", ErrFailed, d.path, err)
	}
	free := ""
	if usage, err := d.fs.GetDiskUsage(d.path); err == nil {
		free = fmt.Sprintf(", %d MiB are free", usage.AvailBytes>>20)
	}
	return fmt.Errorf("%w: the disk of %s is full%s: make room, then start again: %w", ErrFailed, d.path, free, err)
}

// guardedFS is the file system that Pebble writes to.
type guardedFS struct {
	vfs.FS
	failure *failure
}

// Unwrap implements vfs.FS.
func (g guardedFS) Unwrap() vfs.FS { return g.FS }

// Create implements vfs.FS.
func (g guardedFS) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.failure.guard(func() error {
		f, err = g.FS.Create(name, c)
		return err
	})
	return g.file(f, err)
}

// ReuseForWrite implements vfs.FS. It makes a new file: then a log holds what
// was written to it and no remains of another, and CheckFiles can say whether it
// is whole.
func (g guardedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.Remove(old); err != nil {
		return nil, err
	}
	return g.Create(name, c)
}

// OpenDir implements vfs.FS. A directory is opened to be synced.
func (g guardedFS) OpenDir(name string) (vfs.File, error) {
	return g.file(g.FS.OpenDir(name))
}

// Rename implements vfs.FS.
func (g guardedFS) Rename(old, name string) error {
	return g.failure.guard(func() error { return g.FS.Rename(old, name) })
}

// Remove implements vfs.FS. A file that cannot be removed does no harm.
func (g guardedFS) Remove(name string) error {
	if err := g.failure.err(); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

func (g guardedFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return guardedFile{f, g.failure}, nil
}

// guardedFile is a file that Pebble writes to.
type guardedFile struct {
	vfs.File
	failure *failure
}

// Write implements vfs.File.
func (g guardedFile) Write(p []byte) (n int, err error) {
	err = g.failure.guard(func() error {
		n, err = g.File.Write(p)
		return err
	})
	return n, err
}

// Sync implements vfs.File.
func (g guardedFile) Sync() error { return g.failure.guard(g.File.Sync) }

// SyncData implements vfs.File.
func (g guardedFile) SyncData() error { return g.failure.guard(g.File.SyncData) }

// SyncTo implements vfs.File.
func (g guardedFile) SyncTo(length int64) (full bool, err error) {
	err = g.failure.guard(func() error {
		full, err = g.File.SyncTo(length)
		return err
	})
	return full, err
}
