package wallet

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cairn/consensus"
	"cairn/types"
)

const (
	maxName    = 64         // bytes
	minAddress = 1 + 1 + 58 // characters of an address, whatever its network
)

// Entry is an account as the wallet knows it.
type Entry struct {
	Name    string // "" when it has none here
	Account types.Account
	Own     bool   // the wallet's words give its key
	Index   uint32 // of that key; 0 for others
}

// Accounts returns the accounts whose keys the wallet has, ascending by index.
func (w *Wallet) Accounts() []Entry { return slices.Clone(w.accounts) }

// Watched returns the other accounts that have a name here, in the order in
// which they got it.
func (w *Wallet) Watched() []Entry { return slices.Clone(w.watched) }

// Account returns what a person calls an account: a name of the wallet, in any
// case, or an address, which need not be known here. The error is ErrUnknown.
func (w *Wallet) Account(nameOrAddress string) (Entry, error) {
	e, err := w.find(nameOrAddress)
	if err != nil {
		return Entry{}, err
	}
	return *e, nil
}

// AddAccount adds the next account of the wallet's words under a name. The
// errors are ErrName, ErrIndex, ErrDamaged for the keys of another wallet, those
// of the file system and ErrBusy.
func (w *Wallet) AddAccount(keys *Keys, name string) (Entry, error) {
	err := w.update(func(p *public) error {
		if err := p.checkWords(keys.words); err != nil {
			return err
		}
		index := p.accounts[len(p.accounts)-1].Index + 1
		account := accountOf(keys.words.Key(index))
		// One that was watched is the wallet's own from now on.
		p.watched = slices.DeleteFunc(p.watched, func(e Entry) bool { return e.Account == account })
		p.accounts = append(p.accounts, Entry{Name: name, Account: account, Own: true, Index: index})
		return nil
	})
	if err != nil {
		return Entry{}, err
	}
	return w.accounts[len(w.accounts)-1], nil
}

// Watch gives a name to an account of someone else's. The errors are ErrName,
// ErrKnown, those of consensus.Rules.ParseAccount and of the file system, and
// ErrBusy.
func (w *Wallet) Watch(name, address string) error {
	return w.update(func(p *public) error {
		account, err := p.rules.ParseAccount(address)
		p.watched = append(p.watched, Entry{Name: name, Account: account})
		return err
	})
}

// Unwatch forgets an account of someone else's; ErrUnknown when it is none of
// Watched.
func (w *Wallet) Unwatch(nameOrAddress string) error {
	return w.update(func(p *public) error {
		e, err := p.find(nameOrAddress)
		if err != nil {
			return err
		}
		before := len(p.watched)
		p.watched = slices.DeleteFunc(p.watched, func(o Entry) bool { return o.Account == e.Account })
		if len(p.watched) == before {
			return fmt.Errorf("%w among those that are watched: %q", ErrUnknown, nameOrAddress)
		}
		return nil
	})
}

// Rename gives another name to an account of either kind. The errors are
// ErrUnknown, ErrName, ErrBusy and those of the file system.
func (w *Wallet) Rename(nameOrAddress, name string) error {
	return w.update(func(p *public) error {
		e, err := p.find(nameOrAddress)
		if err == nil && e.Name == "" {
			err = fmt.Errorf("%w: %q has no name to be changed", ErrUnknown, nameOrAddress)
		}
		if err != nil {
			return err
		}
		e.Name = name
		return nil
	})
}

// find returns the entry of p that a name or an address stands for, or one
// without a name for another address.
func (p *public) find(nameOrAddress string) (*Entry, error) {
	account, notAddress := p.rules.ParseAccount(nameOrAddress)
	for _, list := range [][]Entry{p.accounts, p.watched} {
		for i := range list {
			if e := &list[i]; notAddress == nil && e.Account == account || fold(e.Name) == fold(nameOrAddress) {
				return e, nil
			}
		}
	}
	switch {
	case notAddress == nil:
		return &Entry{Account: account}, nil
	case likeAddress(p.rules, nameOrAddress) || len(nameOrAddress) >= minAddress:
		return nil, fmt.Errorf("%w: %w", ErrUnknown, notAddress)
	}
	return nil, fmt.Errorf("%w: %.100q; the wallet's accounts are %s", ErrUnknown, nameOrAddress, p.names())
}

// names lists the names of the accounts, not all of very many.
func (p *public) names() string {
	const most = 20
	var names []string
	for _, e := range slices.Concat(p.accounts, p.watched) {
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, fmt.Sprintf("%q", e.Name))
	}
	return strings.Join(names, ", ")
}

// register holds names and accounts while each may come once.
type register struct {
	rules    *consensus.Rules
	names    map[string]bool // folded
	accounts map[types.Account]string
}

func newRegister(rules *consensus.Rules) *register {
	return &register{rules, map[string]bool{}, map[types.Account]string{}}
}

// add takes up a name and an address, and returns what the address stands for.
func (r *register) add(name, address string) (types.Account, error) {
	if err := checkName(r.rules, name); err != nil {
		return "", err
	}
	if r.names[fold(name)] {
		return "", fmt.Errorf("%w: %q is the name of another account", ErrName, name)
	}
	account, err := r.rules.ParseAccount(address)
	if err != nil {
		return "", err
	}
	if known, ok := r.accounts[account]; ok {
		return "", fmt.Errorf("%w: %q", ErrKnown, known)
	}
	r.names[fold(name)], r.accounts[account] = true, name
	return account, nil
}

// fold brings names together that differ in case: they could be taken for one
// another, and someone be paid who was not meant.
func fold(name string) string { return strings.ToLower(name) }

func checkName(rules *consensus.Rules, name string) error {
	switch {
	case len(name) < 1 || len(name) > maxName:
		return fmt.Errorf("%w: it has %d bytes, a name has 1 to %d", ErrName, len(name), maxName)
	case textFault(name) != "":
		return fmt.Errorf("%w: %q %s", ErrName, name, textFault(name))
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("%w: %q begins or ends with a space", ErrName, name)
	case likeAddress(rules, name):
		return fmt.Errorf("%w: %q could be taken for an address", ErrName, name)
	}
	return nil
}

func likeAddress(rules *consensus.Rules, text string) bool {
	return strings.HasPrefix(fold(text), rules.AddressPrefix+"1")
}

// textFault says why a text cannot be shown to people as it is; "" when it can.
func textFault(text string) string {
	if !utf8.ValidString(text) {
		return "is not valid UTF-8"
	}
	for _, c := range text {
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return fmt.Sprintf("has the control character %U", c)
		}
	}
	return ""
}
