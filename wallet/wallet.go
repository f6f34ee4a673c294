// Package wallet keeps the keys of one person on one network with signatures: 24
// words under a passphrase, the accounts that follow from them, names for other
// accounts, and the signed transfers that wait to be confirmed. Beside the wallet
// itself stand the two texts that go between people and machines: a transfer as
// a document, for signing where there is no network, and a request to be paid
// as a URI. Balances, heights and fees come from a node, which this package
// knows nothing of.
//
// On disk a wallet is a directory with two files. secret.age holds the words and
// a newline, nothing else, as an armored age file with a passphrase
// (age-encryption.org/v1), so that "age -d" shows them without this program.
// public.json is all that is read without the passphrase; public.go describes
// it. Both are replaced as a whole, under the lock of an empty third.
//
// The words are those of BIP 39, the keys those of SLIP-0010, so that other
// programs come to the same keys from them: derive.go says how.
package wallet

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"cairn/consensus"
)

// Wallet is an open wallet: its public part in memory. One goroutine at a time
// uses it; other processes may change the same files meanwhile, and each change
// here starts from what is on disk.
type Wallet struct {
	dir string
	public
}

// Create makes a wallet in a directory, which may be missing, and encrypts the
// words with the passphrase. Its accounts are number 0, named "main", and those
// of the other indexes, such as Discover finds. The errors are ErrUnsigned,
// ErrWords for no words at all, ErrEmptyPassphrase, ErrExists, ErrBusy,
// ErrIndex and those of the file system.
func Create(dir string, rules *consensus.Rules, words Words, passphrase []byte, indexes ...uint32) (*Wallet, error) {
	if words.text == nil {
		return nil, fmt.Errorf("%w: there are none", ErrWords)
	}
	if len(passphrase) == 0 {
		return nil, ErrEmptyPassphrase
	}
	p, data, err := newPublic(rules, words, indexes)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := Vacant(dir); err != nil {
		return nil, err
	}
	secret, err := seal(words, passphrase)
	if err != nil {
		return nil, err
	}
	// The words first: whatever names an account in public.json can be unlocked.
	if err := writeFile(dir, secretName, secret); err != nil {
		return nil, err
	}
	if err := writeFile(dir, publicName, data); err != nil {
		return nil, err
	}
	return &Wallet{dir, *p}, nil
}

// newPublic returns the public part of a new wallet and its bytes.
func newPublic(rules *consensus.Rules, words Words, indexes []uint32) (*public, []byte, error) {
	indexes = append(slices.Clone(indexes), 0)
	slices.Sort(indexes)
	p := public{rules: rules}
	seed := words.seed()
	for _, index := range slices.Compact(indexes) {
		p.accounts = append(p.accounts, Entry{Name: defaultName(index), Account: accountAt(seed, index), Own: true, Index: index})
	}
	return p.checked()
}

func defaultName(index uint32) string {
	if index == 0 {
		return "main"
	}
	return fmt.Sprintf("account %d", index)
}

// Open reads the public part of the wallet in a directory; no passphrase is
// needed, nor that secret.age is there. The errors are ErrNoWallet, ErrDamaged
// and those of the file system.
func Open(dir string) (*Wallet, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	p, err := readPublic(dir)
	if err != nil {
		return nil, err
	}
	return &Wallet{dir, *p}, nil
}

// Rules returns the rules of the wallet's network.
func (w *Wallet) Rules() *consensus.Rules { return w.rules }

// readPublic reads public.json.
func readPublic(dir string) (*public, error) {
	data, err := readFile(dir, publicName, maxPublic)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s: make one with \"cairn wallet new\"", ErrNoWallet, dir)
	}
	if err != nil {
		return nil, err
	}
	p, err := parsePublic(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, filepath.Join(dir, publicName), err)
	}
	return p, nil
}

// update changes public.json as it is on disk now, under the lock, and takes
// over what it has become. Whether the change is allowed is decided by reading
// what would be written.
func (w *Wallet) update(change func(p *public) error) error {
	lock, err := lockDir(w.dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	p, err := readPublic(w.dir)
	if err != nil {
		return err
	}
	if p.rules.ChainID() != w.rules.ChainID() {
		return fmt.Errorf("%w: %s holds a wallet of %s now, not of %s: open it again", ErrNetwork, w.dir, p.rules.Name, w.rules.Name)
	}
	if err := change(p); err != nil {
		return err
	}
	p, data, err := p.checked()
	if err != nil {
		return err
	}
	if err := writeFile(w.dir, publicName, data); err != nil {
		return err
	}
	w.public = *p
	return nil
}
