package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"

	"cairn/wallet"
)

// maxLine is the most bytes of a line that is asked for.
const maxLine = 8192

// errNothingDone is what a command ends with when a person does not go on.
var errNothingDone = errors.New("nothing was done")

// readLine reads a line from standard input and nothing beyond it. It ends when ctx
// does, and a terminal is then as it was.
func (a *app) readLine(ctx context.Context, hidden bool) (string, error) {
	f, isFile := a.stdin.(*os.File)
	terminal := isFile && isTerminal(f)
	if terminal {
		if state, err := term.GetState(int(f.Fd())); err == nil {
			defer term.Restore(int(f.Fd()), state)
		}
	}
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1) // the reader is left behind when ctx ends: the process ends with it
	go func() {
		if terminal && hidden {
			line, err := term.ReadPassword(int(f.Fd()))
			answers <- answer{string(line), err}
			return
		}
		line, err := oneLine(a.stdin)
		answers <- answer{line, err}
	}()
	select {
	case got := <-answers:
		if terminal && hidden {
			fmt.Fprintln(a.stderr)
		}
		if errors.Is(got.err, io.EOF) {
			got.err = errNothingDone
		}
		return got.line, got.err
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return "", errNothingDone
	}
}

// oneLine reads byte by byte, so that what comes after the line is left to whoever
// reads next.
func oneLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= maxLine; {
		n, err := r.Read(b)
		if n > 0 && b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b[:n]...)
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			return "", err
		}
		if err != nil {
			return string(line), nil
		}
	}
	return "", fmt.Errorf("a line of more than %d bytes", maxLine)
}

// confirm asks a person whether to go on; without one it says which flag to give.
func (a *app) confirm(ctx context.Context, question, flag string) error {
	if !isTerminal(a.stdin) {
		return usageError("%s Nobody is there to answer: %s goes on without asking", question, flag)
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	line, err := a.readLine(ctx, false)
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errNothingDone
}

// passphraseGiven returns the passphrase that a flag or setting names; nil when it is
// to be asked for. An open file gives it once, so it is remembered.
func (m *means) passphraseGiven() ([]byte, error) {
	if m.given == nil {
		var err error
		if m.given, err = m.readPassphrase(); err != nil {
			return nil, err
		}
	}
	return m.given, nil
}

func (m *means) readPassphrase() ([]byte, error) {
	switch {
	case m.passphraseFD >= 0:
		f := os.NewFile(uintptr(m.passphraseFD), "passphrase")
		if f == nil {
			return nil, usageError("--passphrase-fd %d is no open file", m.passphraseFD)
		}
		defer f.Close()
		passphrase, err := wallet.ReadPassphrase(f)
		if err != nil {
			return nil, &codeError{exitUsage, fmt.Errorf("--passphrase-fd %d: %w", m.passphraseFD, err)}
		}
		return passphrase, nil
	case m.passphraseFile != "":
		return passphraseFrom(m.passphraseFile, "--passphrase-file")
	case !isTerminal(m.a.stdin):
		return nil, usageError("the passphrase is asked for on a terminal, and standard input is none: give it with --passphrase-file FILE or --passphrase-fd NUMBER")
	}
	return nil, nil
}

func passphraseFrom(path, flag string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &codeError{exitUsage, fmt.Errorf("%s: %w", flag, err)}
	}
	defer f.Close()
	passphrase, err := wallet.ReadPassphrase(f)
	if err != nil {
		return nil, &codeError{exitUsage, fmt.Errorf("%s %s: %w", flag, path, err)}
	}
	return passphrase, nil
}

// newPassphrase returns the passphrase for a new wallet, asked for twice.
func (m *means) newPassphrase(ctx context.Context) ([]byte, error) {
	given, err := m.passphraseGiven()
	if given != nil || err != nil {
		return given, err
	}
	return m.a.askNewPassphrase(ctx)
}

func (a *app) askNewPassphrase(ctx context.Context) ([]byte, error) {
	for {
		fmt.Fprint(a.stderr, "New passphrase, several words that nobody guesses (it is not shown): ")
		first, err := a.readLine(ctx, true)
		if err != nil {
			return nil, err
		}
		if first == "" {
			fmt.Fprintln(a.stderr, "It is empty: whoever finds the wallet's files could spend from it.")
			continue
		}
		fmt.Fprint(a.stderr, "The same again: ")
		second, err := a.readLine(ctx, true)
		if err != nil {
			return nil, err
		}
		if first == second {
			return []byte(first), nil
		}
		fmt.Fprintln(a.stderr, "They differ. Once more.")
	}
}

// unlock decrypts the wallet's words. A person may try three times.
func (m *means) unlock(ctx context.Context, w *wallet.Wallet) (*wallet.Keys, error) {
	keys, _, err := m.unlockWith(ctx, w)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this wallet has no words here and only watches; \"cairn send --unsigned FILE\" writes a transfer for where they are (%w)", err)
	}
	return keys, err
}

// unlockWith returns the passphrase as well.
func (m *means) unlockWith(ctx context.Context, w *wallet.Wallet) (*wallet.Keys, []byte, error) {
	given, err := m.passphraseGiven()
	if err != nil {
		return nil, nil, err
	}
	if given != nil {
		keys, err := w.Unlock(given)
		return keys, given, err
	}
	const tries = 3
	for try := 1; ; try++ {
		fmt.Fprint(m.a.stderr, "Passphrase of the wallet (it is not shown): ")
		typed, err := m.a.readLine(ctx, true)
		if err != nil {
			return nil, nil, err
		}
		keys, err := w.Unlock([]byte(typed))
		if err == nil || !errors.Is(err, wallet.ErrPassphrase) || try == tries {
			return keys, []byte(typed), err
		}
		fmt.Fprintln(m.a.stderr, "That is not it.")
	}
}

// printable shows text from outside on a terminal: as it is, or quoted where it could
// do something to the terminal or to how its neighbours are read.
func printable(text string) string {
	for _, c := range text {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			return fmt.Sprintf("%q", text)
		}
	}
	return text
}
