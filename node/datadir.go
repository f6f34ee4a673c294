package node

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// DefaultData returns the directory of a node that was given none:
// cairn/NETWORK-PORT in the user's data directory, so that nodes of several
// networks and ports on one machine keep apart by themselves.
func DefaultData(network string, port uint16) (string, error) {
	base, err := userData()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "cairn", network+"-"+strconv.Itoa(int(port))), nil
}

// DefaultWallet returns the directory of a wallet for which none was named:
// cairn/wallet in the user's data directory.
func DefaultWallet() (string, error) {
	base, err := userData()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "cairn", "wallet"), nil
}

// userData returns the directory in which the system expects programs to keep
// what they need of their own.
func userData() (string, error) {
	switch runtime.GOOS {
	case "windows":
		if dir := os.Getenv("LocalAppData"); dir != "" {
			return dir, nil
		}
	case "darwin":
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, "Library", "Application Support"), nil
		}
	default:
		if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
			return dir, nil
		}
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, ".local", "share"), nil
		}
	}
	return "", errors.New("the environment names no home directory: say where the data goes with --data DIR")
}
