package wallet

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// writerVar names the directory in which the test below, run as a process of its
// own, replaces a file until it is killed.
const writerVar = "CAIRN_TEST_WRITER"

const crashFile = "file"

// crashVersions are what the file is in turn.
var crashVersions = [2][]byte{bytes.Repeat([]byte{'a'}, 1<<18), bytes.Repeat([]byte{'b'}, 1<<17)}

func TestKilledWriterLeavesOldOrNew(t *testing.T) {
	if dir := os.Getenv(writerVar); dir != "" {
		// Not for ever, should nobody be left to kill it.
		for i, start := 0, time.Now(); time.Since(start) < time.Minute; i++ {
			if err := writeFile(dir, crashFile, crashVersions[i%2]); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	dir := t.TempDir()
	for i := range 10 {
		killWriter(t, dir, time.Duration(i)*3*time.Millisecond)
		data, err := readFile(dir, crashFile, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, crashVersions[0]) && !bytes.Equal(data, crashVersions[1]) {
			t.Fatalf("a killed process left %d bytes, which are neither version", len(data))
		}
	}
}

// killWriter ends a writing process some time after its first write.
func killWriter(t *testing.T, dir string, after time.Duration) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestKilledWriterLeavesOldOrNew$")
	cmd.Env = append(os.Environ(), writerVar+"="+dir)
	if err := os.Remove(filepath.Join(dir, crashFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, crashFile)); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Error("nothing was written")
			break
		}
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
}

// What an interrupted write left is in nobody's way, and is not read.
func TestLeftOverIsReplaced(t *testing.T) {
	w := create(t, goldenText)
	left := aside(filepath.Join(w.dir, publicName))
	if err := os.WriteFile(left, []byte(`{"half`), 0o644); err != nil {
		t.Fatal(err)
	}
	checkReopened(t, w)
	if err := w.Rename("main", "purse"); err != nil {
		t.Fatal(err)
	}
	checkReopened(t, w)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there still: %v", left, err)
	}
	if info, err := os.Stat(filepath.Join(w.dir, publicName)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
}

// A change that cannot be written changes nothing, in memory neither.
func TestFailedWriteChangesNothing(t *testing.T) {
	w := create(t, goldenText)
	if err := os.MkdirAll(filepath.Join(aside(filepath.Join(w.dir, publicName)), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.Rename("main", "purse"); err == nil {
		t.Fatal("it was written")
	}
	if name := w.Accounts()[0].Name; name != "main" {
		t.Errorf("the name is %q", name)
	}
	checkReopened(t, w)
}
