package store

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// failure remembers the first write that failed, and ends all writing. What Pebble
// would do by itself after a failed write is of no use here: it returns nil from a
// commit whose log it could not sync, may crash the process in the next one, and
// writes a table that does not fit again and again, even while it opens. So a
// failure is caught in the file system beneath, and Pebble never hears of it: the
// write that failed, and every later one, waits for the process to end. Reads go
// on.
type failure struct {
	once    sync.Once
	first   error // written before done is closed, and not again
	done    chan struct{}
	open    atomic.Bool // otherwise Open's or Close's caller gets the error
	explain func(error) error
	report  func(error)
}

// note records err, and reports it, if it is the first. It does not return.
func (f *failure) note(err error) {
	f.once.Do(func() {
		open := f.open.Load()
		f.first = f.explain(err)
		close(f.done)
		if open {
			f.report(f.first)
		}
	})
	select {}
}

// noteRead does the same for a record that could not be read from an open store,
// but returns: the reader gets the error too. To go on could spread the damage.
func (f *failure) noteRead(err error) {
	if errors.Is(err, ErrDamaged) && f.open.Load() {
		go f.note(err)
	}
}

// run calls what makes Pebble write, until it returns or a write fails.
func (f *failure) run(call func() error) error {
	if err := f.err(); err != nil {
		return err
	}
	returned := make(chan error, 1)
	go func() { returned <- survive(call) }()
	select {
	case err := <-returned:
		return err
	case <-f.done:
		return f.first
	}
}

// survive turns a panic into an error. Pebble panics where it reads bytes that it
// does not expect.
func survive(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return f()
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

// explain says what the operator can do about a failure.
func (d directory) explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		free := ""
		if usage, err := d.fs.GetDiskUsage(d.path); err == nil {
			free = fmt.Sprintf(", %d MiB are free", usage.AvailBytes>>20)
		}
		return fmt.Errorf("%w: the disk of %s is full%s: make room, then start again: %w", ErrFailed, d.path, free, err)
	case pebble.IsCorruptionError(err) || errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w: %w", ErrFailed, d.advise(readError(err)))
	}
	return fmt.Errorf("%w: %s: see to the disk, then start again: %w", ErrFailed, d.path, err)
}

// guardedFS is the file system that Pebble writes to.
type guardedFS struct {
	vfs.FS
	failure *failure
}

// Unwrap implements vfs.FS.
func (g guardedFS) Unwrap() vfs.FS { return g.FS }

// Create implements vfs.FS. The file that says by its name which manifest is in
// use must not last when the manifest itself does not.
func (g guardedFS) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.failure.guard(func() error {
		if strings.HasPrefix(g.PathBase(name), manifestMarker) {
			if err := syncDir(g.FS, g.PathDir(name)); err != nil {
				return err
			}
		}
		f, err = g.FS.Create(name, c)
		return err
	})
	if err == nil && strings.HasSuffix(name, logSuffix) {
		return &logFile{guardedFile: guardedFile{f, g.failure}}, nil
	}
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

// Lock implements vfs.FS. The directory's lock is held, and one is enough.
func (g guardedFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

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
