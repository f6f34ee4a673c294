package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// sums.txt holds the SHA-256 of files that nothing will write any more, in the
// format that sha256sum reads. Pebble's tables have checksums of their own and
// are not in it. While the directory is open it names the files that stay as
// they are, after Close every file but the tables. So of a directory that was
// closed every byte is covered; of one that was not, CheckFiles must read the
// logs themselves.
const sumsName = "sums.txt"

const (
	sumsHead = "# SHA-256 of files in this directory, checked by \"cairn verify\" and \"sha256sum -c sums.txt\"\n"
	sumsFoot = "# and of the lines above: "
)

// fileSum is a line of sums.txt. The name is as in FileFault.
type fileSum struct {
	name string
	sum  [32]byte
}

// writeSums replaces sums.txt by one with the sums of the marker and of the files
// that choose picks from those of the database, which it is given sorted.
func (d directory) writeSums(choose func(names []string) []string) error {
	files, err := d.fs.List(d.file(dbName))
	if err != nil {
		return err
	}
	slices.Sort(files)
	names := []string{markerName}
	for _, name := range choose(files) {
		names = append(names, dbName+"/"+name)
	}
	text := []byte(sumsHead)
	for _, name := range names {
		sum, err := d.sum(name)
		if err != nil {
			return err
		}
		text = fmt.Appendf(text, "%x  %s\n", sum, name)
	}
	text = fmt.Appendf(text, "%s%x\n", sumsFoot, sha256.Sum256(text))
	return d.write(sumsName, text)
}

// readSums returns what sums.txt says, nothing if it is missing, or ErrDamaged.
func (d directory) readSums() ([]fileSum, error) {
	text, err := d.read(sumsName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	foot := bytes.LastIndex(text, []byte(sumsFoot))
	if foot < 0 || string(text[foot:]) != fmt.Sprintf("%s%x\n", sumsFoot, sha256.Sum256(text[:foot])) {
		return nil, FileFault{File: sumsName, Reason: notAsWritten + "; if \"cairn verify\" finds nothing else, remove it"}
	}
	var sums []fileSum
	for line := range strings.Lines(string(text[:foot])) {
		digits, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || line == sumsHead {
			continue
		}
		s := fileSum{name: name}
		if n, err := hex.Decode(s.sum[:], []byte(digits)); err != nil || n != len(s.sum) {
			return nil, FileFault{File: sumsName, Reason: notAsWritten}
		}
		sums = append(sums, s)
	}
	return sums, nil
}

const notAsWritten = "it is not as it was written"

// check says whether a file still has its sum.
func (d directory) check(s fileSum) error {
	sum, err := d.sum(s.name)
	if errors.Is(err, fs.ErrNotExist) {
		return FileFault{File: s.name, Reason: "it is missing"}
	}
	if err == nil && sum != s.sum {
		return FileFault{File: s.name, Reason: fmt.Sprintf("%s: its SHA-256 is %x, not %x", notAsWritten, sum, s.sum)}
	}
	return err
}

func (d directory) sum(name string) (sum [32]byte, err error) {
	f, err := d.fs.Open(d.file(name))
	if err != nil {
		return sum, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	_, err = io.Copy(h, io.LimitReader(f, info.Size())) // whose buffer is no larger than the file
	return [32]byte(h.Sum(nil)), err
}

const tableSuffix = ".sst"

// fixedFiles picks what stays as it is while the database is open: its options,
// of which only the last file is kept.
func fixedFiles(names []string) []string {
	options := slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "OPTIONS-") })
	return options[max(0, len(options)-1):]
}

// closedFiles picks what has no checksums of its own once the database is closed.
func closedFiles(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, tableSuffix) })
}
