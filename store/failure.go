package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// failure remembers the first write that failed, and ends all writing. What
// Pebble would do by itself after a failed write is of no use here: it returns
// nil from a commit whose log it could not sync, may crash the process in the
// next one, and writes a table that does not fit again and again. So a failure is
// caught in the file system beneath, and Pebble never hears of it: the write that
// failed, and every later one, waits for the process to end. Reads go on.
type failure struct {
	// armed is false while Pebble opens or closes its files: it does report errors
	// then.
	armed   atomic.Bool
	once    sync.Once
	first   error // written once, before done is closed
	done    chan struct{}
	explain func(error) error
	report  func(error)
}

// note records err if it is the first. While armed it then reports it, and does
// not return.
func (f *failure) note(err error) {
	f.once.Do(func() {
		f.first = f.explain(err)
		close(f.done)
		if f.armed.Load() {
			f.report(f.first)
		}
	})
	if f.armed.Load() {
		select {}
	}
}

// err returns the first failure, or nil.
func (f *failure) err() error {
	select {
	case <-f.done:
		return f.first
	default:
		return nil
	}
}

// guard does one write to the disk, unless one has failed.
func (f *failure) guard(write func() error) error {
	err := f.err()
	if err == nil {
		err = write()
	}
	if err != nil {
		f.note(err)
	}
	return err
}

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

// Remove implements vfs.FS. A file that cannot be removed does no harm, but after
// a failure none may be.
func (g guardedFS) Remove(name string) (err error) {
	guarded := g.failure.guard(func() error {
		err = g.FS.Remove(name)
		return nil
	})
	return errors.Join(guarded, err)
}

// GetDiskUsage implements vfs.FS. Pebble asks only to pace itself.
func (g guardedFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	usage, err := g.FS.GetDiskUsage(path)
	if err != nil {
		err = vfs.ErrUnsupported
	}
	return usage, err
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
