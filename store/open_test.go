package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"cairn/consensus"
)

// TestOpenErrors opens directories that are not what they should be, compares
// the error, and finds every file as it was.
func TestOpenErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, mem vfs.FS)
		want  error
		text  string
	}{
		{"missing", func(t *testing.T, mem vfs.FS) { removeAll(t, mem, testDir) }, ErrNoData, "in data"},
		{"empty", func(t *testing.T, mem vfs.FS) { removeAll(t, mem, testDir); mkdir(t, mem, testDir) }, ErrNoData, "in data"},
		{"only a mount point", func(t *testing.T, mem vfs.FS) {
			removeAll(t, mem, testDir)
			mkdir(t, mem, testDir+"/lost+found")
		}, ErrNoData, "in data"},
		{"without a database", func(t *testing.T, mem vfs.FS) { removeAll(t, mem, testDir+"/db") }, ErrDamaged, "db: it is missing"},
		{"without a database and sums", func(t *testing.T, mem vfs.FS) {
			removeAll(t, mem, testDir+"/db")
			removeAll(t, mem, testDir+"/sums.txt")
		}, ErrDamaged, "db: it is missing"},
		{"never had a marker", func(t *testing.T, mem vfs.FS) {
			removeAll(t, mem, testDir+"/sums.txt")
			removeAll(t, mem, testDir+"/cairn.txt")
			writeFile(t, mem, testDir+"/cairn.txt.new", nil)
		}, ErrNoData, "interrupted"},
		{"without a marker", func(t *testing.T, mem vfs.FS) { removeAll(t, mem, testDir+"/cairn.txt") }, ErrDamaged, "cairn.txt: it is missing"},
		{"another marker", edit("cairn.txt", "cairn data", "stone heap"), ErrDamaged, "cairn.txt: it is not as it was written"},
		{"foreign", func(t *testing.T, mem vfs.FS) {
			removeAll(t, mem, testDir)
			mkdir(t, mem, testDir)
			writeFile(t, mem, testDir+"/letter.txt", []byte("Dear"))
		}, ErrNotCairn, "name another directory"},
		{"another's cairn.txt", func(t *testing.T, mem vfs.FS) {
			removeAll(t, mem, testDir+"/sums.txt")
			edit("cairn.txt", "cairn data", "stone heap")(t, mem)
		}, ErrNotCairn, "name another directory"},
		{"newer", edit("cairn.txt", "format 2\n", "format 3\nand more\n"), ErrNewer, "format 3, and this version knows none above 2: use a newer version"},
		{"older", edit("cairn.txt", "format 2\n", "format 1\n"), ErrOlder, "format 1, and this version needs 2: `cairn export` it"},
		{"edited marker", edit("cairn.txt", "network dev", "network  dev"), ErrDamaged, "cairn.txt: it is not as it was written"},
		{"edited sums", edit("sums.txt", "cairn.txt", "cairn.text"), ErrDamaged, "sums.txt: it is not as it was written"},
		{"changed log", flip("*.log", 7), ErrDamaged, ".log: it is not as it was written: its SHA-256 is"},
		{"changed manifest", flip("MANIFEST-*", 20), ErrDamaged, "MANIFEST-"},
		{"changed options", flip("OPTIONS-*", 20), ErrDamaged, "OPTIONS-"},
		{"missing log", remove("*.log"), ErrDamaged, ".log: it is missing"},
		{"missing table", remove("*.sst"), ErrDamaged, "file does not exist"},
		{"short table", func(t *testing.T, mem vfs.FS) {
			name := testDir + "/" + dbFile(t, mem, "*.sst")
			writeFile(t, mem, name, readFile(t, mem, name)[1:])
		}, ErrDamaged, "object size mismatch"},
		{"no sums and no manifest", func(t *testing.T, mem vfs.FS) {
			removeAll(t, mem, testDir+"/sums.txt")
			remove("MANIFEST-*")(t, mem)
		}, ErrDamaged, "db: "},
		{"no sums and another network's marker", func(t *testing.T, mem vfs.FS) {
			removeAll(t, mem, testDir+"/sums.txt")
			edit("cairn.txt", "network dev", "network ved")(t, mem)
		}, ErrDamaged, "does not name network dev"},
		{"no sums and an empty database", func(t *testing.T, mem vfs.FS) {
			removeAll(t, mem, testDir+"/sums.txt")
			removeAll(t, mem, testDir+"/db")
			mkdir(t, mem, testDir+"/db")
		}, ErrDamaged, "db: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			makeClosed(t, mem)
			c.spoil(t, mem)
			before := tree(t, mem, testDir)
			_, err := Open(testDir, Options{FS: mem})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
			after := tree(t, mem, testDir)
			delete(after, testDir+"/"+lockName) // empty, and made only where data is
			delete(before, testDir+"/"+lockName)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("Open changed the directory:\n%s", diff)
			}
		})
	}
}

// makeClosed makes a directory with a table and a log in it, and closes it.
func makeClosed(t testing.TB, mem vfs.FS) {
	t.Helper()
	s := mustCreate(t, Options{FS: mem})
	commit(t, s, putSamples)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	commit(t, s, func(b *Batch) { b.PutAccount(consensus.NewParty("late"), 1) })
	mustClose(t, s)
}

func removeAll(t *testing.T, mem vfs.FS, path string) {
	t.Helper()
	if err := mem.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, mem vfs.FS, path string) {
	t.Helper()
	if err := mem.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func edit(name, from, to string) func(*testing.T, vfs.FS) {
	return func(t *testing.T, mem vfs.FS) {
		path := testDir + "/" + name
		text := string(readFile(t, mem, path))
		if !strings.Contains(text, from) {
			t.Fatalf("%s has no %q:\n%s", name, from, text)
		}
		writeFile(t, mem, path, []byte(strings.Replace(text, from, to, 1)))
	}
}

func flip(pattern string, at int) func(*testing.T, vfs.FS) {
	return func(t *testing.T, mem vfs.FS) {
		path := testDir + "/" + dbFile(t, mem, pattern)
		data := readFile(t, mem, path)
		data[at] ^= 1
		writeFile(t, mem, path, data)
	}
}

func remove(pattern string) func(*testing.T, vfs.FS) {
	return func(t *testing.T, mem vfs.FS) { removeAll(t, mem, testDir+"/"+dbFile(t, mem, pattern)) }
}

func TestCreateErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, mem vfs.FS)
		want error
	}{
		{"there is data", func(t *testing.T, mem vfs.FS) { makeClosed(t, mem) }, ErrExists},
		{"foreign", func(t *testing.T, mem vfs.FS) {
			mkdir(t, mem, testDir)
			writeFile(t, mem, testDir+"/letter.txt", []byte("Dear"))
		}, ErrNotCairn},
		{"newer", func(t *testing.T, mem vfs.FS) {
			makeClosed(t, mem)
			edit("cairn.txt", "format 2\n", "format 9\n")(t, mem)
		}, ErrNewer},
		{"damaged", func(t *testing.T, mem vfs.FS) {
			makeClosed(t, mem)
			edit("cairn.txt", "chain ", "chain 0")(t, mem)
		}, ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			c.make(t, mem)
			before := tree(t, mem, testDir)
			if _, err := Create(testDir, consensus.Dev(), Options{FS: mem}); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if diff := cmp.Diff(before, tree(t, mem, testDir)); diff != "" {
				t.Errorf("Create changed the directory:\n%s", diff)
			}
		})
	}
}

// TestCreateWhereItIsPossible has what may be in a directory beforehand.
func TestCreateWhereItIsPossible(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, mem vfs.FS)
	}{
		{"missing parents", func(t *testing.T, mem vfs.FS) {}},
		{"empty", func(t *testing.T, mem vfs.FS) { mkdir(t, mem, testDir) }},
		{"a mount point", func(t *testing.T, mem vfs.FS) { mkdir(t, mem, testDir+"/lost+found") }},
		{"half of another network", func(t *testing.T, mem vfs.FS) {
			mkdir(t, mem, testDir+"/db/remains")
			writeFile(t, mem, testDir+"/cairn.txt.new", []byte(marker{network: "other"}.text()))
			writeFile(t, mem, testDir+"/cairn.lock", nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			c.make(t, mem)
			mustClose(t, mustCreate(t, Options{FS: mem}))
			mustClose(t, mustOpen(t, Options{FS: mem}))
		})
	}
}

// A new database has Pebble's newest format at once.
func TestCreateNewest(t *testing.T) {
	mem := vfs.NewMem()
	mustClose(t, mustCreate(t, Options{FS: mem}))
	names, err := mem.List(testDir + "/db")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "marker.format-version.") })
	if want := []string{"marker.format-version.000001." + pebble.FormatNewest.String()}; !cmp.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
}

// TestCreateTogether has several callers create one directory. One of them does.
func TestCreateTogether(t *testing.T) {
	for range 20 {
		mem := vfs.NewMem()
		var created atomic.Int64
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				s, err := Create(testDir, consensus.Dev(), Options{FS: mem})
				switch {
				case err == nil:
					created.Add(1)
					mustClose(t, s)
				case !errors.Is(err, ErrBusy) && !errors.Is(err, ErrExists):
					t.Errorf("error %v", err)
				}
			})
		}
		callers.Wait()
		if n := created.Load(); n != 1 {
			t.Errorf("%d callers created it", n)
		}
		mustClose(t, mustOpen(t, Options{FS: mem}))
	}
}

// TestDisk is the ordinary life of a directory on a disk.
func TestDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := Create(dir, consensus.Dev(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, putSamples)
	if s.Dir() != dir {
		t.Errorf("directory %s, want %s", s.Dir(), dir)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	mustClose(t, s)
	if sha256sum, err := exec.LookPath("sha256sum"); err == nil {
		cmd := exec.Command(sha256sum, "--check", "--strict", sumsName)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sha256sum: %v\n%s", err, out)
		}
	}
	s, err = Open(dir, Options{CacheBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if balance, err := s.Account("ann"); balance != -0x01020304050607 || err != nil {
		t.Errorf("balance %d, %v", balance, err)
	}
	mustClose(t, s)
}

// TestBusy opens a directory that another process holds.
func TestBusy(t *testing.T) {
	if os.Getenv(childVariable) == t.Name() {
		s, err := Open(os.Getenv("DIR"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.db.TestOnlyWaitForCleaning() // so that only the other could change files
		fmt.Println("open")
		bufio.NewReader(os.Stdin).ReadByte() // until the other has seen it
		mustClose(t, s)
		return
	}
	dir := filepath.Join(t.TempDir(), "node")
	s, err := Create(dir, consensus.Dev(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	cmd := childCommand(t, t.Name(), "DIR="+dir)
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "open" {
	}
	before := tree(t, vfs.Default, dir)
	_, err = Open(dir, Options{})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "stop the node") {
		t.Errorf("Open: error %v, want ErrBusy", err)
	}
	if _, err := CheckFiles(t.Context(), dir, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("CheckFiles: error %v, want ErrBusy", err)
	}
	if diff := cmp.Diff(before, tree(t, vfs.Default, dir)); diff != "" {
		t.Errorf("the directory was changed:\n%s", diff)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	s, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
}

// TestUnreadable has the system refuse what is asked of it, which is no damage.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := filepath.Join(t.TempDir(), "node")
	s, err := Create(dir, consensus.Dev(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	for _, name := range []string{"cairn.txt", "db"} {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrDamaged) {
			t.Errorf("error %v, want that permission is missing", err)
		}
		if err := os.Chmod(path, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExamine looks into directories that open and into some that do not.
func TestExamine(t *testing.T) {
	balance := func(want int64) func(*consensus.Rules, *View) error {
		return func(rules *consensus.Rules, v *View) error {
			got, err := v.Account("ann")
			if rules.Name != "dev" || got != want || err != nil {
				t.Errorf("network %s, balance %d, %v", rules.Name, got, err)
			}
			return nil
		}
	}
	mem := vfs.NewMem()
	o := Options{FS: mem}
	makeClosed(t, mem)
	before := tree(t, mem, testDir)
	if err := Examine(testDir, o, balance(-0x01020304050607)); err != nil {
		t.Error(err)
	}
	broken := errors.New("looked")
	if err := Examine(testDir, o, func(*consensus.Rules, *View) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if diff := cmp.Diff(before, tree(t, mem, testDir)); diff != "" {
		t.Errorf("Examine changed the directory:\n%s", diff)
	}
	s := mustOpen(t, o)
	if err := Examine(testDir, o, balance(0)); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	mustClose(t, s)
	edit("sums.txt", "cairn.txt", "cairn.text")(t, mem)
	if err := Examine(testDir, o, balance(-0x01020304050607)); err != nil {
		t.Errorf("with broken sums: %v", err)
	}
	remove("MANIFEST-*")(t, mem)
	if err := Examine(testDir, o, balance(0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("error %v, want ErrDamaged", err)
	}
	removeAll(t, mem, testDir)
	if err := Examine(testDir, o, balance(0)); !errors.Is(err, ErrNoData) {
		t.Errorf("error %v, want ErrNoData", err)
	}
}
