package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/consensus"
	"cairn/types"
)

// format is the number of the layout that keys.go and this file describe. A
// change that an older version would misread gets the next number.
const format = 1

const (
	markerName = "cairn.txt"
	dbName     = "db"
	newDB      = "db.new" // a database that Create has not completed
)

// directory is a data directory as files: what is where, whose it is, who may
// write it.
type directory struct {
	fs   vfs.FS
	path string
}

func newDirectory(dir string, o Options) (directory, error) {
	if o.FS != nil {
		return directory{tidyFS{o.FS}, dir}, nil
	}
	// The lock is known by its path, so one directory must have one path.
	path, err := filepath.Abs(dir)
	return directory{tidyFS{vfs.Default}, path}, err
}

func (d directory) file(elem ...string) string {
	return d.fs.PathJoin(append([]string{d.path}, elem...)...)
}

// marker is what cairn.txt says.
type marker struct {
	network string
	chain   types.Hash
}

const markerStart = "cairn data, format "

func (m marker) text() string {
	return fmt.Sprintf(markerStart+"%d\nnetwork %s\nchain %s\n"+`
This directory is the data of one cairn node. Leave its files to cairn:
"cairn verify" checks them, "cairn export" copies the chain out of them.
`, format, m.network, m.chain)
}

func markerFor(rules *consensus.Rules) marker {
	return marker{rules.Name, rules.ChainID()}
}

// marker reads cairn.txt. It says ErrNoData where there is nothing or only what
// an interrupted Create leaves, ErrNotCairn, ErrNewer or ErrDamaged.
func (d directory) marker() (marker, error) {
	names, err := d.list()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return marker{}, fmt.Errorf("%w in %s", ErrNoData, d.path)
	}
	if err != nil {
		return marker{}, err
	}
	text, err := d.read(markerName)
	if errors.Is(err, fs.ErrNotExist) {
		return marker{}, fmt.Errorf("%w: %s has other files in it, %s for one, and no %s: name another directory",
			ErrNotCairn, d.path, names[0], markerName)
	}
	if err != nil {
		return marker{}, err
	}
	m, err := d.parseMarker(text)
	if err != nil {
		return marker{}, err
	}
	if _, err := d.fs.Stat(d.file(dbName)); errors.Is(err, fs.ErrNotExist) {
		return marker{}, fmt.Errorf("%w in %s: it was being made, and that was interrupted", ErrNoData, d.path)
	} else if err != nil {
		return marker{}, err
	}
	return m, nil
}

func (d directory) parseMarker(text []byte) (marker, error) {
	first, rest, _ := strings.Cut(string(text), "\n")
	number, ours := strings.CutPrefix(first, markerStart)
	n, err := strconv.ParseUint(number, 10, 32)
	if !ours || err != nil {
		return marker{}, fmt.Errorf("%w: %s does not begin with %q and a number: name another directory",
			ErrNotCairn, d.file(markerName), markerStart)
	}
	if n > format {
		return marker{}, fmt.Errorf("%w: %s has format %d, and this version knows none above %d: use a newer version",
			ErrNewer, d.path, n, format)
	}
	var m marker
	for line := range strings.Lines(rest) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch key {
		case "network":
			m.network = value
		case "chain":
			m.chain, _ = types.ParseHash(value)
		}
	}
	if m.text() != string(text) {
		return marker{}, d.damaged(markerName, errors.New("it is not as it was written"))
	}
	return m, nil
}

// prepare makes the directory one of ours that has no database yet.
func (d directory) prepare(rules *consensus.Rules) error {
	_, err := d.marker()
	if err == nil {
		return fmt.Errorf("%w in %s", ErrExists, d.path)
	}
	if !errors.Is(err, ErrNoData) {
		return err
	}
	if err := d.fs.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	return d.write(markerName, []byte(markerFor(rules).text()))
}

// lock excludes every other Store from the directory, also in other processes.
func (d directory) lock() (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(d.file(dbName), d.fs)
	// Failing to open the lock's file is a PathError; whatever else there is says
	// that the lock is held.
	var path *fs.PathError
	if err != nil && !errors.As(err, &path) {
		return nil, fmt.Errorf("%w: %s: stop the node that uses it, or name another directory (%w)", ErrBusy, d.path, err)
	}
	return lock, err
}

// list returns the names in the directory, without what file systems put there.
func (d directory) list() ([]string, error) {
	names, err := d.fs.List(d.path)
	var kept []string
	for _, name := range names {
		if name != "lost+found" {
			kept = append(kept, name)
		}
	}
	return kept, err
}

func (d directory) read(name string) ([]byte, error) {
	f, err := d.fs.Open(d.file(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// write replaces a file as a whole: after a crash it is the old or the new one.
func (d directory) write(name string, data []byte) error {
	aside := d.file(name + ".new")
	f, err := d.fs.Create(aside, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.fs.Rename(aside, d.file(name)); err != nil {
		return err
	}
	return d.sync()
}

// sync makes the names in the directory durable.
func (d directory) sync() error {
	f, err := d.fs.OpenDir(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d directory) damaged(name string, err error) error {
	return fmt.Errorf("%w: %s: %w: see \"cairn verify\"; to start afresh, \"cairn export\" what can be read, or restore a copy",
		ErrDamaged, d.file(name), err)
}

// explain adds to a failed write what the operator can do about it.
func (d directory) explain(err error) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%s: see to the disk, then start again: %w", d.path, err)
	}
	free := ""
	if usage, err := d.fs.GetDiskUsage(d.path); err == nil {
		free = fmt.Sprintf(", %d MiB are free", usage.AvailBytes>>20)
	}
	return fmt.Errorf("the disk of %s is full%s: make room, then start again: %w", d.path, free, err)
}

// tidyFS leaves files that are no longer needed to be removed rather than
// written over. So a log holds what was written to it and nothing else, which is
// what lets CheckFiles say whether a log is whole.
type tidyFS struct{ vfs.FS }

// ReuseForWrite implements vfs.FS.
func (t tidyFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := t.Remove(old); err != nil {
		return nil, err
	}
	return t.Create(name, c)
}

