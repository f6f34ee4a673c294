package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/consensus"
	"cairn/types"
)

// format is the number of the layout that keys.go and this file describe. A
// change that an older version would misread gets the next number.
const format = 2

const (
	markerName = "cairn.txt"
	dbName     = "db"
	lockName   = "cairn.lock" // empty; locked while the directory is open
)

// directory is a data directory as files: what is where, whose it is, who may
// write it.
type directory struct {
	fs   vfs.FS
	path string
}

func newDirectory(dir string, o Options) (directory, error) {
	if o.FS != nil {
		return directory{o.FS, dir}, nil
	}
	// The lock is known by its path, so one directory must have one path.
	path, err := filepath.Abs(dir)
	return directory{vfs.Default, path}, err
}

// file returns the path of a file that is named with slashes, as in FileFault.
func (d directory) file(name string) string {
	return d.fs.PathJoin(append([]string{d.path}, strings.Split(name, "/")...)...)
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
// an interrupted Create leaves, ErrNotCairn, ErrNewer, ErrOlder or ErrDamaged.
func (d directory) marker() (marker, error) {
	// Looked up before the rest: another process may be making the directory, and
	// writes the sums last.
	used := d.hasSums()
	names, err := d.list()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return marker{}, fmt.Errorf("%w in %s", ErrNoData, d.path)
	}
	if err != nil {
		return marker{}, err
	}
	_, unfinished := d.fs.Stat(d.file(aside(markerName))) // before the marker, which it becomes
	text, err := d.read(markerName)
	if errors.Is(err, fs.ErrNotExist) {
		if used {
			return marker{}, FileFault{File: markerName, Reason: "it is missing"}
		}
		if unfinished == nil && slices.Equal(names, []string{dbName}) {
			return marker{}, fmt.Errorf("%w in %s: it was being made, and that was interrupted", ErrNoData, d.path)
		}
		return marker{}, fmt.Errorf("%w: %s has other files in it, %s for one, and no %s: name another directory",
			ErrNotCairn, d.path, names[0], markerName)
	}
	if err != nil {
		return marker{}, err
	}
	m, err := d.parseMarker(text, used)
	if err != nil {
		return marker{}, err
	}
	if _, err := d.fs.Stat(d.file(dbName)); errors.Is(err, fs.ErrNotExist) {
		return marker{}, FileFault{File: dbName, Reason: "it is missing"}
	} else if err != nil {
		return marker{}, err
	}
	return m, nil
}

// hasSums tells whether a node has used the directory: Create does not come to
// writing sums before all else is there.
func (d directory) hasSums() bool {
	_, err := d.fs.Stat(d.file(sumsName))
	return err == nil
}

func (d directory) parseMarker(text []byte, used bool) (marker, error) {
	first, rest, _ := strings.Cut(string(text), "\n")
	number, ours := strings.CutPrefix(first, markerStart)
	n, err := strconv.ParseUint(number, 10, 32)
	if (!ours || err != nil) && used {
		return marker{}, FileFault{File: markerName, Reason: notAsWritten}
	}
	if !ours || err != nil {
		return marker{}, fmt.Errorf("%w: %s does not begin with %q and a number: name another directory",
			ErrNotCairn, d.file(markerName), markerStart)
	}
	if n > format {
		return marker{}, fmt.Errorf("%w: %s has format %d, and this version knows none above %d: use a newer version",
			ErrNewer, d.path, n, format)
	}
	if n < format {
		return marker{}, fmt.Errorf("%w: %s has format %d, and this version needs %d: `cairn export` it with the version that "+
			"made it, and `cairn import` that into a new directory, or let a new one fill from the neighbours",
			ErrOlder, d.path, n, format)
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
		return marker{}, FileFault{File: markerName, Reason: notAsWritten}
	}
	return m, nil
}

// make makes the directory where it is missing, to last.
func (d directory) make() error {
	var missing []string
	for path := d.path; ; path = d.fs.PathDir(path) {
		if _, err := d.fs.Stat(path); err == nil || path == d.fs.PathDir(path) {
			break
		}
		missing = append(missing, path)
	}
	if err := d.fs.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	for _, path := range missing {
		if err := syncDir(d.fs, d.fs.PathDir(path)); err != nil {
			return err
		}
	}
	return nil
}

// lock excludes every other Store from the directory, also in other processes.
func (d directory) lock() (io.Closer, error) {
	lock, err := d.fs.Lock(d.file(lockName))
	// Failing to open the file is a PathError; anything else says that it is locked.
	var path *fs.PathError
	if err != nil && !errors.As(err, &path) {
		return nil, fmt.Errorf("%w: %s: stop the node that uses it, or name another directory (%w)", ErrBusy, d.path, err)
	}
	return lock, err
}

// list returns the names in the directory, but for those that say nothing: the
// lock, the first thing that Create writes, and what file systems put there.
func (d directory) list() ([]string, error) {
	names, err := d.fs.List(d.path)
	ignored := []string{lockName, aside(markerName), "lost+found"}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(ignored, name) }), err
}

func (d directory) read(name string) ([]byte, error) {
	f, err := d.fs.Open(d.file(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// aside is where the new version of a file is written.
func aside(name string) string { return name + ".new" }

// write replaces a file as a whole: after a crash it is the old or the new one.
func (d directory) write(name string, data []byte) error {
	if err := d.writeAside(name, data); err != nil {
		return err
	}
	return d.rename(aside(name), name)
}

// prepare writes the new version of a file, to last; it takes its place by rename.
func (d directory) prepare(name string, data []byte) error {
	if err := d.writeAside(name, data); err != nil {
		return err
	}
	return syncDir(d.fs, d.path)
}

func (d directory) writeAside(name string, data []byte) error {
	f, err := d.fs.Create(d.file(aside(name)), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// rename gives a file or directory another name, to last.
func (d directory) rename(old, name string) error {
	if err := d.fs.Rename(d.file(old), d.file(name)); err != nil {
		return err
	}
	return syncDir(d.fs, d.path)
}

// remove removes a file, to last; it may be missing.
func (d directory) remove(name string) error {
	err := d.fs.Remove(d.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(d.fs, d.path))
}

func syncDir(fs vfs.FS, path string) error {
	f, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
