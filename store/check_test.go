package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"cairn/consensus"
	"cairn/types"
)

// makeFiles makes a directory with tables, logs and manifests of some size, and
// returns it as a loss of power leaves it, and closed.
func makeFiles(t *testing.T) (killed, closed vfs.FS) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	mustClose(t, mustCreate(t, Options{FS: mem}))
	s := mustOpen(t, Options{FS: mem})
	for i := range 60 {
		commit(t, s, func(b *Batch) {
			b.PutAccount(consensus.NewParty(types.Account(fmt.Sprint("account ", i))), int64(i+1))
			b.PutNeighbour(fmt.Sprint("http://10.0.0.", i))
		})
		if i == 20 || i == 40 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle(s)
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, s)
	return clone, mem
}

// settle waits until Pebble writes and removes no more tables.
func settle(s *Store) {
	for {
		m := s.db.Metrics()
		if m.Compact.NumInProgress == 0 && m.Flush.NumInProgress == 0 && m.Table.ObsoleteCount == 0 && m.Table.ZombieCount == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// flips changes bytes of a file, one at a time, and calls f for each. Files of
// more than a few hundred bytes are sampled, and their last bytes all taken.
func flips(t *testing.T, fs vfs.FS, name string, f func(at int)) {
	t.Helper()
	path := testDir + "/" + name
	data := readFile(t, fs, path)
	samples := 300
	if testing.Short() {
		samples = 30
	}
	for at := 0; at < len(data); at++ {
		if step := 1 + len(data)/samples; at%step != 0 && at < len(data)-24 {
			continue
		}
		data[at] ^= 1 << (at % 8)
		writeFile(t, fs, path, data)
		f(at)
		data[at] ^= 1 << (at % 8)
	}
	writeFile(t, fs, path, data)
}

func filesOf(t *testing.T, fs vfs.FS) (names []string) {
	for path, content := range tree(t, fs, testDir) {
		if content != "directory" {
			names = append(names, strings.TrimPrefix(path, testDir+"/"))
		}
	}
	slices.Sort(names)
	return names
}

func mustCheck(t *testing.T, fs vfs.FS) []FileFault {
	t.Helper()
	faults, err := checkFiles(t.Context(), testDir, Options{FS: fs}, nil)
	if err != nil {
		t.Error(err)
	}
	return faults
}

// TestChangedByteAfterClose changes bytes everywhere in a directory that was
// closed.
func TestChangedByteAfterClose(t *testing.T) {
	_, fs := makeFiles(t)
	if faults := mustCheck(t, fs); len(faults) > 0 {
		t.Fatalf("faults in a sound directory: %v", faults)
	}
	before := tree(t, fs, testDir)
	for _, name := range filesOf(t, fs) {
		flips(t, fs, name, func(at int) {
			faults := mustCheck(t, fs)
			if len(faults) != 1 || faults[0].File != name || faults[0].Torn || faults[0].Reason == "" {
				t.Errorf("byte %d of %s changed: faults %v", at, name, faults)
			}
		})
	}
	if diff := cmp.Diff(before, tree(t, fs, testDir)); diff != "" {
		t.Errorf("CheckFiles changed the directory:\n%s", diff)
	}
}

// TestChangedByteAfterKill does the same with a directory that was not closed.
// Of files that nothing reads any more, and Pebble had no time to remove, some
// bytes may change unnoticed.
func TestChangedByteAfterKill(t *testing.T) {
	fs, _ := makeFiles(t)
	for _, f := range mustCheck(t, fs) {
		t.Fatalf("a fault in a sound directory: %v", f)
	}
	torn, all := make(map[string]int), make(map[string]int)
	for _, name := range filesOf(t, fs) {
		if !readByPebble(t, fs, name) {
			continue
		}
		flips(t, fs, name, func(at int) {
			faults := mustCheck(t, fs)
			i := slices.IndexFunc(faults, func(f FileFault) bool { return f.File == name })
			if i < 0 {
				t.Errorf("byte %d of %s changed: faults %v", at, name, faults)
				return
			}
			all[name]++
			if faults[i].Torn {
				torn[name]++
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Logf("%-24s %4d changes found, of which %d look like an interrupted write", name, all[name], torn[name])
		if torn[name]*5 > all[name] && !strings.HasSuffix(name, tableSuffix) {
			t.Errorf("too many changes of %s look like an interrupted write", name)
		}
	}
}

func readByPebble(t *testing.T, fs vfs.FS, name string) bool {
	for _, pattern := range []string{"OPTIONS-*", "MANIFEST-*"} {
		if prefix := dbName + "/" + strings.TrimSuffix(pattern, "*"); strings.HasPrefix(name, prefix) {
			return name == dbFile(t, fs, pattern) // the last one
		}
	}
	return true
}

// TestCutLog cuts the log short at every byte, and puts zeros behind, as there were
// before those bytes were written. CheckFiles says so except where a record ends, and
// opening finds the records before.
func TestCutLog(t *testing.T) {
	fs, _ := makeFiles(t)
	name := dbFile(t, fs, "*.log")
	path := testDir + "/" + name
	whole := readFile(t, fs, path)
	ahead := len(whole)
	whole = bytes.TrimRight(whole, "\x00")
	if ahead -= len(whole); ahead < zerosAhead/2 {
		t.Errorf("%d zeros after the end", ahead)
	}
	var ends int
	for size := len(whole) - 1; size >= 0; size -= 1 + len(whole)/500 {
		writeFile(t, fs, path, append(bytes.Clone(whole[:size]), make([]byte, size%2*ahead)...))
		faults := mustCheck(t, fs)
		switch {
		case len(faults) == 0:
			ends++
		case len(faults) != 1 || faults[0].File != name || !faults[0].Torn ||
			!strings.Contains(faults[0].Reason, "in the middle of a record, at byte ") ||
			!strings.Contains(faults[0].Reason, "starting the node repairs it"):
			t.Errorf("cut at %d of %d: faults %v", size, len(whole), faults)
		}
	}
	if ends > 20 {
		t.Errorf("%d cuts of a log of 20 records seem to be between records", ends)
	}
	writeFile(t, fs, path, whole[:len(whole)-1])
	s := mustOpen(t, Options{FS: fs})
	if balance, err := s.Account("account 58"); balance != 59 || err != nil {
		t.Errorf("the record before last has balance %d, %v", balance, err)
	}
	mustClose(t, s)
	if faults := mustCheck(t, fs); len(faults) > 0 {
		t.Errorf("after opening and closing: %v", faults)
	}
}

// TestLogOfZeros has a node end again and again before it has written anything, and
// its log be zeros alone: nothing is lost, and no earlier log is in the way.
func TestLogOfZeros(t *testing.T) {
	mem, _ := makeFiles(t)
	for range 3 {
		name := testDir + "/" + dbFile(t, mem, "*.log")
		writeFile(t, mem, name, append(bytes.TrimRight(readFile(t, mem, name), "\x00"), zeros[:]...))
		s := mustOpen(t, Options{FS: mem})
		if balance, err := s.Account("account 59"); balance != 60 || err != nil {
			t.Errorf("the last record has balance %d, %v", balance, err)
		}
		settle(s)
		clone := mem.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{})
		mustClose(t, s)
		mem = clone
		if faults := mustCheck(t, mem); len(faults) > 0 {
			t.Errorf("faults: %v", faults)
		}
	}
}

// TestCheckFilesErrors checks directories that are none.
func TestCheckFilesErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, fs vfs.FS)
		want  error
	}{
		{"missing", func(t *testing.T, fs vfs.FS) { removeAll(t, fs, testDir) }, ErrNoData},
		{"foreign", func(t *testing.T, fs vfs.FS) {
			removeAll(t, fs, testDir+"/cairn.txt")
			removeAll(t, fs, testDir+"/sums.txt")
		}, ErrNotCairn},
		{"newer", func(t *testing.T, fs vfs.FS) {
			edit("cairn.txt", "format 2", "format 3")(t, fs)
			removeAll(t, fs, testDir+"/sums.txt")
		}, ErrNewer},
	} {
		_, fs := makeFiles(t)
		c.spoil(t, fs)
		if _, err := checkFiles(t.Context(), testDir, Options{FS: fs}, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, fs := makeFiles(t)
	if _, err := checkFiles(ctx, testDir, Options{FS: fs}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was cancelled", err)
	}
}

// TestMissingFiles removes each file of a closed directory in turn.
func TestMissingFiles(t *testing.T) {
	_, fs := makeFiles(t)
	for _, name := range filesOf(t, fs) {
		data := readFile(t, fs, testDir+"/"+name)
		removeAll(t, fs, testDir+"/"+name)
		faults := mustCheck(t, fs)
		switch name {
		case lockName: // empty
			if len(faults) > 0 {
				t.Errorf("without %s: faults %v", name, faults)
			}
		case sumsName: // missing after a crash in Open too
			if len(faults) != 1 || faults[0].File != name || !faults[0].Torn {
				t.Errorf("without %s: faults %v", name, faults)
			}
		default:
			if len(faults) != 1 || faults[0].File != name && faults[0].File != dbName {
				t.Errorf("without %s: faults %v", name, faults)
			}
		}
		writeFile(t, fs, testDir+"/"+name, data)
	}
}

// TestInterruptedTable has a crash leave half a table: no fault of what is
// stored.
func TestInterruptedTable(t *testing.T) {
	fs, _ := makeFiles(t)
	table := readFile(t, fs, testDir+"/"+dbFile(t, fs, "*.sst"))
	name := dbName + "/000999.sst"
	writeFile(t, fs, testDir+"/"+name, table[:len(table)/2])
	faults := mustCheck(t, fs)
	if len(faults) != 1 || faults[0].File != name || !faults[0].Torn {
		t.Errorf("faults %v", faults)
	}
	mustClose(t, mustOpen(t, Options{FS: fs}))
	if faults := mustCheck(t, fs); len(faults) > 0 {
		t.Errorf("after opening and closing: %v", faults)
	}
}

// TestProgress is told ever more bytes, and all of them at last.
func TestProgress(t *testing.T) {
	_, fs := makeFiles(t)
	var done, total int64
	_, err := checkFiles(t.Context(), testDir, Options{FS: fs}, func(d, all int64) {
		if d < done || d > all {
			t.Errorf("%d of %d after %d", d, all, done)
		}
		done, total = d, all
	})
	if err != nil || done != total || total == 0 {
		t.Errorf("%d of %d, %v", done, total, err)
	}
}
