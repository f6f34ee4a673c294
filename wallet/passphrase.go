package wallet

import (
	"bytes"
	"fmt"
	"io"
)

// maxPassphrase is the most bytes of a passphrase.
const maxPassphrase = 4096

// ReadPassphrase reads a passphrase, the first line of what r gives, without its end.
// The errors are ErrEmptyPassphrase and those of r.
func ReadPassphrase(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPassphrase+1))
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(line) == 0:
		return nil, ErrEmptyPassphrase
	case len(line) > maxPassphrase:
		return nil, fmt.Errorf("a passphrase of more than %d bytes", maxPassphrase)
	}
	return line, nil
}
