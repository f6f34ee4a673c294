package wallet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	secretName = "secret.age"
	publicName = "public.json"
	lockName   = "wallet.lock" // empty; locked while something is changed
)

// makeDir makes a directory that only its owner may look into, to last. One that
// exists stays as it is.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// lockDir excludes every other process from changing the wallet, and every other
// goroutine. It does not wait.
func lockDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockName)
	lock, err := vfs.Default.Lock(path)
	// Failing to open the file is a PathError; anything else says that it is locked.
	var opening *fs.PathError
	if err != nil && !errors.As(err, &opening) {
		return nil, fmt.Errorf("%w: %s: try again in a moment (%w)", ErrBusy, dir, err)
	}
	if err != nil {
		return nil, err
	}
	// By its path: to open and close it once more would let the lock go.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// Vacant says ErrExists where a wallet or any part of one is: a lone secret.age may
// hold the only copy of someone's words. Create asks it; whoever shows words to a
// person before that asks first.
func Vacant(dir string) error {
	for _, name := range []string{publicName, secretName} {
		path := filepath.Join(dir, name)
		_, err := os.Lstat(path)
		if err == nil {
			return fmt.Errorf("%w: %s: name another directory, or move this one away", ErrExists, path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// readFile reads a file of at most so many bytes.
func readFile(dir, name string, most int) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrDamaged, f.Name(), most)
	}
	return data, err
}

// aside is where the new version of a file is written.
func aside(path string) string { return path + ".new" }

// writeFile replaces a file as a whole: after a crash it is the old or the new
// one. Only its owner may read it.
func writeFile(dir, name string, data []byte) error {
	path := filepath.Join(dir, name)
	// What an interrupted write left may have other permissions.
	if err := os.Remove(aside(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(aside(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(aside(path), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory last, where the system has a way to.
func syncDir(dir string) error {
	f, err := vfs.Default.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
