package store

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cairn/consensus"
	"cairn/types"
)

// The workload commits rounds 1, 2, 3, … Each writes its number to several
// records, so that half a round shows, and some make Pebble write tables.

// workload counts the rounds that were begun and those that were answered.
type workload struct{ begun, answered atomic.Int64 }

var workloadAccounts = []types.Account{"ann", "bob", "cid", "dora"}

// round commits the next round.
func (w *workload) round(s *Store) error {
	n := w.begun.Add(1)
	b := s.NewBatch()
	defer b.Close()
	for _, a := range workloadAccounts {
		b.PutAccount(consensus.NewParty(a), n)
	}
	b.PutBest(uint32(n), types.Hash{})
	b.PutBlock(uint32(n), types.Hash{}, make([]byte, 40_000*(n%3)))
	if err := b.Commit(); err != nil {
		return err
	}
	w.answered.Add(n - w.answered.Load())
	return nil
}

// found checks that the store holds one whole round and returns its number.
func found(t *testing.T, s *Store) int64 {
	t.Helper()
	n, err := s.Account(workloadAccounts[0])
	if err != nil {
		t.Error(err)
	}
	for _, a := range workloadAccounts[1:] {
		if m, err := s.Account(a); m != n || err != nil {
			t.Errorf("half a round: %s has %d and %s has %d, %v", workloadAccounts[0], n, a, m, err)
		}
	}
	_, atErr := s.BestHash(uint32(n))
	_, nextErr := s.BestHash(uint32(n) + 1)
	if n > 0 && (atErr != nil || !errors.Is(nextErr, ErrNotFound)) {
		t.Errorf("half a round: accounts have %d, the best chain %v, %v", n, atErr, nextErr)
	}
	return n
}

// crash is the disk as the loss of power left it.
type crash struct {
	fs              *vfs.MemFS
	after           string // operations before it
	answered, begun int64
}

// crashes runs f on a file system and returns the disks that a loss of power
// would leave before each operation that writes, with the given part of what was
// not synced.
func crashes(t *testing.T, w *workload, percent int, f func(vfs.FS)) (all []crash) {
	mem := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(1, uint64(percent)))
	var mu sync.Mutex
	f(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		answered := w.answered.Load() // before the disk, begun after it
		disk := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
		all = append(all, crash{disk, fmt.Sprintf("%d operations, before one on %s", len(all), op.Path), answered, w.begun.Load()})
		return nil
	})))
	return all
}

// TestCreateCrash loses power at every point of Create.
func TestCreateCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		var unfinished int
		for _, c := range crashes(t, &workload{}, percent, func(fs vfs.FS) {
			mustClose(t, mustCreate(t, Options{FS: fs}))
		}) {
			s, err := Open(testDir, Options{FS: c.fs})
			if errors.Is(err, ErrNoData) {
				unfinished++
				s, err = Create(testDir, consensus.Dev(), Options{FS: c.fs})
			}
			if err != nil {
				t.Fatalf("after %s: %v", c.after, err)
			}
			checkGenesis(t, s, consensus.Dev())
			mustClose(t, s)
		}
		if unfinished < 20 {
			t.Errorf("only %d crashes left Create unfinished", unfinished)
		}
	}
}

// TestCommitCrash loses power at every point of a life of commits, flushes,
// closing and opening: what was answered is there, and whole.
func TestCommitCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		var w workload
		all := crashes(t, &w, percent, func(fs vfs.FS) {
			s := mustCreate(t, Options{FS: fs})
			for i := range 12 {
				if err := w.round(s); err != nil {
					t.Fatal(err)
				}
				if i%5 == 2 {
					if err := s.db.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				if i%6 == 3 {
					mustClose(t, s)
					s = mustOpen(t, Options{FS: fs})
				}
			}
			mustClose(t, s)
		})
		step := 1
		if testing.Short() {
			step = 7
		}
		for i := 0; i < len(all); i += step {
			c := all[i]
			s, err := Open(testDir, Options{FS: c.fs})
			if errors.Is(err, ErrNoData) && c.begun == 0 {
				continue
			}
			if err != nil {
				t.Fatalf("%d%%, after %s: %v", percent, c.after, err)
			}
			if n := found(t, s); n < c.answered || n > c.begun {
				t.Errorf("%d%%, after %s: round %d is there, %d were answered and %d begun", percent, c.after, n, c.answered, c.begun)
			}
			mustClose(t, s)
		}
	}
}

// faultyFS fails writes from the one with number from on, for count of them, and
// either loses them or does them all the same.
type faultyFS struct {
	vfs.FS
	from, count int64
	kept        bool
	err         error
	writes      *atomic.Int64
	failed      *atomic.Int64
}

func (f faultyFS) do(write func() error) error {
	n := f.writes.Add(1) - 1
	if n < f.from || n >= f.from+f.count {
		return write()
	}
	f.failed.Add(1)
	if f.kept {
		_ = write()
	}
	return f.err
}

func (f faultyFS) Create(name string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.do(func() error { file, err = f.FS.Create(name, c); return err })
	return faultyFile{file, f}, err
}

func (f faultyFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return faultyFile{file, f}, err
}

func (f faultyFS) Rename(old, name string) error {
	return f.do(func() error { return f.FS.Rename(old, name) })
}

type faultyFile struct {
	vfs.File
	fs faultyFS
}

func (f faultyFile) Write(p []byte) (n int, err error) {
	err = f.fs.do(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f faultyFile) Sync() error     { return f.fs.do(f.File.Sync) }
func (f faultyFile) SyncData() error { return f.fs.do(f.File.SyncData) }

// TestFailedWrite fails each write in turn, both ways. Commit says so, Fatal is
// called once, reads go on, and the disk holds what was answered.
func TestFailedWrite(t *testing.T) {
	if !child(t) {
		return
	}
	var open, opening int
	for _, kept := range []bool{false, true} {
		step := int64(1)
		if testing.Short() {
			step = 7
		}
		for n := int64(0); ; n += step {
			duringLife, failed := failOneWrite(t, n, kept)
			if !failed {
				break // the workload has no more writes
			}
			if duringLife {
				open++
			} else {
				opening++
			}
		}
	}
	t.Logf("%d failures while open, %d while opening or closing", open, opening)
	if open == 0 || opening == 0 {
		t.Error("a kind of failure is missing")
	}
}

func failOneWrite(t *testing.T, n int64, kept bool) (duringLife, failed bool) {
	mem := vfs.NewCrashableMem()
	fs := faultyFS{FS: mem, from: n, count: 1, kept: kept, err: errors.New("the disk is gone"), writes: new(atomic.Int64), failed: new(atomic.Int64)}
	var w workload
	var fatal atomic.Int64
	call, err := live(t, &w, Options{FS: fs, Fatal: func(err error) {
		fatal.Add(1)
		if !errors.Is(err, ErrFailed) || !errors.Is(err, fs.err) {
			t.Errorf("write %d: Fatal is told %v", n, err)
		}
	}})
	// Commit may return a moment before Fatal is called.
	for range 1000 {
		if call != "Commit" || fatal.Load() > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	switch {
	case fs.failed.Load() == 0:
		if err != nil {
			t.Errorf("error %v, without a failed write", err)
		}
		return false, false
	case fatal.Load() > 1, fatal.Load() == 1 && (call == "Create" || call == "Open"), fatal.Load() == 0 && call == "Commit":
		t.Errorf("write %d: %s failed, and Fatal was called %d times", n, call, fatal.Load())
	case fatal.Load() == 1 && !errors.Is(err, ErrFailed), err == nil:
		t.Errorf("write %d: %s returns %v", n, call, err)
	}
	for _, percent := range []int{0, 100} {
		disk := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
		s, err := Open(testDir, Options{FS: disk})
		if errors.Is(err, ErrNoData) && w.begun.Load() == 0 {
			continue
		}
		if err != nil {
			t.Errorf("write %d: %v", n, err)
			continue
		}
		if got := found(t, s); got < w.answered.Load() || got > w.begun.Load() {
			t.Errorf("write %d: round %d is there, %d were answered and %d begun", n, got, w.answered.Load(), w.begun.Load())
		}
		mustClose(t, s)
	}
	return fatal.Load() == 1, true
}

// live creates, commits, flushes, closes and opens until a call fails, which it
// names.
func live(t *testing.T, w *workload, o Options) (call string, err error) {
	s, err := Create(testDir, consensus.Dev(), o)
	if err != nil {
		return "Create", err
	}
	for i := range 6 {
		if err := w.round(s); err != nil {
			again := w.round(s)
			balance, readErr := s.Account(workloadAccounts[0])
			if !errors.Is(again, ErrFailed) || !errors.Is(s.Close(), ErrFailed) || readErr != nil || balance < w.answered.Load() {
				t.Errorf("after %v: commit says %v, a read %d, %v", err, again, balance, readErr)
			}
			w.begun.Add(-1) // it was refused
			return "Commit", err
		}
		switch i {
		case 1:
			if err := s.failure.run(s.db.Flush); err != nil {
				return "Flush", err
			}
		case 3:
			if err := s.Close(); err != nil {
				return "Close", err
			}
			if s, err = Open(testDir, o); err != nil {
				return "Open", err
			}
		}
	}
	return "Close", s.Close()
}

// TestDiskFull fills a disk under several committers at once.
func TestDiskFull(t *testing.T) {
	if !child(t) {
		return
	}
	mem := vfs.NewCrashableMem()
	fs := faultyFS{FS: mem, from: 400, count: 1 << 40, err: syscall.ENOSPC, writes: new(atomic.Int64), failed: new(atomic.Int64)}
	told := make(chan error, 10)
	s := mustCreate(t, Options{FS: fs, Fatal: func(err error) { told <- err }})
	var answered [4]uint32
	var committers sync.WaitGroup
	for i := range answered {
		committers.Go(func() {
			for n := uint32(1); ; n++ {
				b := s.NewBatch()
				b.PutTransfer(types.Hash{byte(i), byte(n >> 8), byte(n)}, TransferRecord{Answered: n})
				b.PutBlock(n, types.Hash{byte(i)}, make([]byte, 100_000))
				err := b.Commit()
				b.Close()
				if err != nil {
					if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.ENOSPC) {
						t.Errorf("error %v", err)
					}
					return
				}
				answered[i] = n
			}
		})
	}
	committers.Wait()
	err := <-told
	if text := err.Error(); !strings.Contains(text, "the disk of data is full") || !strings.Contains(text, "make room, then start again") {
		t.Errorf("Fatal is told %q", text)
	}
	if len(told) > 0 {
		t.Errorf("Fatal is told also %v", <-told)
	}
	s = mustOpen(t, Options{FS: mem.CrashClone(vfs.CrashCloneCfg{})})
	for i, last := range answered {
		for n := uint32(1); n <= last; n++ {
			if _, found, err := s.TransferLoc(types.Hash{byte(i), byte(n >> 8), byte(n)}); !found || err != nil {
				t.Errorf("committer %d was answered %d commits, and number %d is lost (%v)", i, last, n, err)
			}
		}
	}
	mustClose(t, s)
}

// TestKill ends a process that commits by SIGKILL, again and again.
func TestKill(t *testing.T) {
	if os.Getenv(childVariable) == t.Name() {
		commitUntilKilled(t)
		return
	}
	dir := filepath.Join(t.TempDir(), "node")
	s, err := Create(dir, consensus.Dev(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for i := range rounds {
		answered := killOnce(t, dir, 1+rand.IntN(60))
		faults, err := CheckFiles(t.Context(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range faults {
			if !f.Torn {
				t.Errorf("CheckFiles: %v", f)
			}
		}
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		if n := found(t, s); n < answered || n > answered+1 {
			t.Errorf("kill %d: round %d is there, %d was answered", i, n, answered)
		}
		mustClose(t, s)
	}
}

// killOnce starts a process, kills it some time after it has answered the given
// number of rounds, and returns the last one that it answered.
func killOnce(t *testing.T, dir string, after int) (answered int64) {
	cmd := childCommand(t, t.Name(), "DIR="+dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen int
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			continue // the test's own output
		}
		answered = n
		if seen++; seen == after {
			time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.Success() || seen < after {
		t.Fatalf("the process ended by itself after %d rounds: %v", seen, err)
	}
	return answered
}

func commitUntilKilled(t *testing.T) {
	s, err := Open(os.Getenv("DIR"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var w workload
	w.begun.Store(found(t, s))
	for {
		if err := w.round(s); err != nil {
			t.Fatal(err)
		}
		fmt.Println(w.answered.Load())
	}
}
