package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/sstable"
)

// FileFault is a file that is not as it was written. As an error it is
// ErrDamaged.
type FileFault struct {
	File   string // within the data directory, with slashes
	Reason string
	// Torn says that this may be all that a write left which a crash interrupted:
	// then nothing is lost, and the next Open puts it in order. A changed byte can
	// look the same; and where power was lost, a disk that wrote the end of a large
	// commit before its beginning can leave what looks like a changed byte.
	Torn bool
}

// Error implements error.
func (f FileFault) Error() string { return f.File + ": " + f.Reason }

// Unwrap returns ErrDamaged.
func (f FileFault) Unwrap() error { return ErrDamaged }

// CheckFiles looks for changed bytes in the files of a data directory and
// changes nothing. It finds every one; only after a crash some cannot be told
// from an interrupted write (Torn).
//
// Its errors are those of Open without ErrDamaged, and of ctx. progress is told
// how many bytes are done and how many there are; it may be nil.
func CheckFiles(ctx context.Context, dir string, progress func(done, total int64)) ([]FileFault, error) {
	return checkFiles(ctx, dir, Options{}, progress)
}

func checkFiles(ctx context.Context, dir string, o Options, progress func(done, total int64)) ([]FileFault, error) {
	d, err := newDirectory(dir, o)
	if err != nil {
		return nil, err
	}
	c := fileCheck{directory: d, ctx: ctx, progress: progress, sizes: make(map[string]int64)}
	mark, err := d.marker()
	if err != nil && !c.markerFault(err) {
		return nil, err
	}
	lock, err := d.lock()
	if err != nil {
		return nil, err
	}
	err = c.run(mark)
	return c.faults, errors.Join(err, lock.Close())
}

// fileCheck is one run of CheckFiles. Files are named as in FileFault.
type fileCheck struct {
	directory
	ctx         context.Context
	progress    func(done, total int64)
	done, total int64
	sizes       map[string]int64 // of all files of the database
	faults      []FileFault
}

// markerFault says whether the marker is broken rather than foreign, newer or
// missing, and takes note of it.
func (c *fileCheck) markerFault(err error) bool {
	if errors.Is(err, ErrDamaged) {
		c.add(markerName, err)
		return true
	}
	// The marker is in the sums, which will show what is wrong with it.
	sums, _ := c.readSums()
	return !errors.Is(err, ErrNoData) && len(sums) > 0
}

// add takes note of a fault, if it is the first of its file.
func (c *fileCheck) add(file string, err error) {
	f := FileFault{File: file, Reason: firstLine(err), Torn: errors.Is(err, errTorn)}
	errors.As(err, &f)
	if !slices.ContainsFunc(c.faults, func(g FileFault) bool { return g.File == f.File }) {
		c.faults = append(c.faults, f)
	}
}

func (c *fileCheck) run(mark marker) error {
	if err := c.measure(); err != nil {
		return err
	}
	sums, err := c.readSums()
	switch {
	case err != nil:
		c.add(sumsName, err)
	case sums == nil:
		c.add(sumsName, FileFault{Reason: "it is missing, and with it the proof that some files are as they were written: " +
			"it was removed, or a start was interrupted; starting the node writes it", File: sumsName, Torn: true})
	}
	unseen := maps.Clone(c.sizes)
	for _, s := range sums {
		delete(unseen, s.name)
		if err := c.step(s.name, func() error { return c.check(s) }); err != nil {
			return err
		}
	}
	var tables []string
	for _, name := range slices.Sorted(maps.Keys(unseen)) {
		if path.Ext(name) == tableSuffix {
			tables = append(tables, name)
		} else if err := c.step(name, func() error { return c.checkUnsummed(name) }); err != nil {
			return err
		}
	}
	return c.checkDatabase(mark, tables)
}

// measure finds the files of the database.
func (c *fileCheck) measure() error {
	names, err := c.fs.List(c.file(dbName))
	for _, name := range names {
		name = dbName + "/" + name
		info, err := c.fs.Stat(c.file(name))
		if err != nil {
			return err
		}
		c.sizes[name] = info.Size()
		c.total += info.Size()
	}
	return err
}

// step checks one file. Its error is that of the context.
func (c *fileCheck) step(name string, check func() error) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := survive(check); err != nil {
		c.add(name, err)
	}
	c.done += c.sizes[name]
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
	return nil
}

// checkUnsummed checks a file that was being written when the node ended.
func (c *fileCheck) checkUnsummed(name string) error {
	base := path.Base(name)
	var err error
	switch {
	case path.Ext(base) == logSuffix:
		number, _ := strconv.ParseUint(strings.TrimSuffix(base, logSuffix), 10, 64)
		err = c.checkLog(name, uint32(number))
	case strings.HasPrefix(base, "MANIFEST-"):
		err = c.checkLog(name, 0)
		if errors.Is(err, errTorn) && !c.manifestInUse(base) {
			err = nil // as an earlier crash left it
		}
	}
	if err != nil {
		err = fmt.Errorf("%w: a loss of power, after which starting the node repairs it, or a changed byte", err)
	}
	return err
}

// manifestMarker begins the name of the file that says which manifest is in use;
// then come a counter and the manifest's name.
const manifestMarker = "marker.manifest."

// manifestInUse says whether Pebble will read this manifest.
func (c *fileCheck) manifestInUse(base string) bool {
	var last string
	for name := range c.sizes {
		if strings.HasPrefix(name, dbName+"/"+manifestMarker) {
			last = max(last, name)
		}
	}
	return strings.HasSuffix(last, "."+base)
}

func (c *fileCheck) checkLog(name string, number uint32) error {
	f, err := c.fs.Open(c.file(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return checkLog(f, number)
}

// checkDatabase opens the database read-only, which finds missing tables, and
// checks all tables. If there are faults already, opening would find the same.
func (c *fileCheck) checkDatabase(mark marker, tables []string) error {
	s := newStore(c.directory, Options{})
	if !c.faulty() {
		if err := c.step(dbName, func() error { return s.openPebble(minCache, true) }); err != nil {
			return err
		}
	}
	if c.faulty() {
		return c.checkTables(tables, nil)
	}
	used, err := s.tables()
	if err == nil {
		err = c.checkTables(tables, used)
	}
	if err == nil && !c.faulty() {
		err = c.step(dbName, func() error { return s.load(mark) })
	}
	return errors.Join(err, s.closePebble())
}

// faulty says whether there is a fault that no interrupted write explains.
func (c *fileCheck) faulty() bool {
	return slices.ContainsFunc(c.faults, func(f FileFault) bool { return !f.Torn })
}

// tables returns the names of the tables that the database uses.
func (s *Store) tables() (map[string]bool, error) {
	used := make(map[string]bool)
	levels, err := s.db.SSTables()
	for _, level := range levels {
		for _, table := range level {
			used[fmt.Sprintf("%s/%06d%s", dbName, uint64(table.BackingSSTNum), tableSuffix)] = true
		}
	}
	return used, err
}

// checkTables checks tables. One that is not used is what a crash left of a table
// that was being written or removed; used is nil where that is not known.
func (c *fileCheck) checkTables(tables []string, used map[string]bool) error {
	for _, name := range tables {
		err := c.step(name, func() error {
			err := c.checkTable(name)
			if err != nil && used != nil && !used[name] {
				err = FileFault{File: name, Torn: true, Reason: fmt.Sprintf("%v: but nothing is kept in it; "+
					"an interrupted write leaves that, and starting the node removes it", err)}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTable reads every block of a table, each of which has a checksum.
func (d directory) checkTable(name string) error {
	f, err := d.fs.Open(d.file(name))
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	options := newStore(d, Options{}).pebbleOptions()
	options.EnsureDefaults()
	table, err := sstable.NewReader(context.Background(), readable, options.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, f.Close())
	}
	err = table.ValidateBlockChecksums()
	if err != nil {
		// Pebble was not told the file's number.
		err = errors.New(strings.TrimPrefix(err.Error(), "pebble: file 000000: "))
	}
	return errors.Join(err, table.Close())
}
