package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TokenFile is the name of the file in the data directory that holds the bearer
// token of a node that listens off loopback.
const TokenFile = "token"

// loadToken returns the token in dir and its path, making it on first use. Only
// the file's owner may read it.
func loadToken(dir string) (token, path string, err error) {
	path = filepath.Join(dir, TokenFile)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		token, err = readToken(path)
		return token, path, err
	}
	if err != nil {
		return "", "", err
	}
	token = newToken()
	_, err = fmt.Fprintln(f, token)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", "", errors.Join(err, os.Remove(path))
	}
	return token, path, nil
}

// newToken returns 130 bits of chance as 26 letters and digits.
func newToken() string { return rand.Text() }

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if len(token) < 16 || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("%s does not hold a token (16 characters or more, no spaces): delete the file and a new one is made", path)
	}
	return token, nil
}
