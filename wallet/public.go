package wallet

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"cairn/consensus"
	"cairn/internal/jsonobject"
	"cairn/types"
)

const (
	publicFormat = "wallet 1" // of public.json
	maxPublic    = jsonobject.MaxSize
)

// public is what public.json holds.
type public struct {
	rules    *consensus.Rules
	accounts []Entry // ascending by index, from 0 on
	watched  []Entry
	outbox   []pending
}

// publicJSON is the file: an object with these fields, and no others.
type publicJSON struct {
	Cairn    string          `json:"cairn"`
	Genesis  json.RawMessage `json:"genesis"` // the network's genesis file
	Accounts []accountJSON   `json:"accounts"`
	Watch    []watchJSON     `json:"watch"`
	Outbox   []pendingJSON   `json:"outbox"`
}

type accountJSON struct {
	Index   uint32 `json:"index"`
	Name    string `json:"name"`
	Address string `json:"address"`
}

type watchJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

type pendingJSON struct {
	ID       types.Hash `json:"id"`
	Transfer string     `json:"transfer"` // the encoding in hex
	Sent     int64      `json:"sent"`     // Unix seconds
}

// UnmarshalJSON reads the object strictly.
func (f *publicJSON) UnmarshalJSON(data []byte) error {
	type plain publicJSON
	return strict(data, (*plain)(f), []string{"cairn", "genesis", "accounts", "watch", "outbox"})
}

// UnmarshalJSON reads the object strictly.
func (f *accountJSON) UnmarshalJSON(data []byte) error {
	type plain accountJSON
	return strict(data, (*plain)(f), []string{"index", "name", "address"})
}

// UnmarshalJSON reads the object strictly.
func (f *watchJSON) UnmarshalJSON(data []byte) error {
	type plain watchJSON
	return strict(data, (*plain)(f), []string{"name", "address"})
}

// UnmarshalJSON reads the object strictly.
func (f *pendingJSON) UnmarshalJSON(data []byte) error {
	type plain pendingJSON
	return strict(data, (*plain)(f), []string{"id", "transfer", "sent"})
}

// parsePublic reads public.json. Every rule about names, accounts and the outbox
// is checked here and nowhere else.
func parsePublic(data []byte) (*public, error) {
	var f publicJSON
	if err := f.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	if f.Cairn != publicFormat {
		return nil, fmt.Errorf("field \"cairn\" is %.100q; this version reads %q", f.Cairn, publicFormat)
	}
	rules, err := parseGenesis(f.Genesis)
	if err != nil {
		return nil, err
	}
	p := &public{rules: rules}
	if err := p.takeEntries(&f); err != nil {
		return nil, err
	}
	return p, p.takeOutbox(f.Outbox)
}

// parseGenesis reads the genesis file of a network with signatures.
func parseGenesis(data []byte) (*consensus.Rules, error) {
	rules, err := consensus.ParseGenesis(data)
	if err != nil {
		return nil, err
	}
	return rules, checkSigned(rules)
}

func checkSigned(rules *consensus.Rules) error {
	if !rules.Signatures {
		return fmt.Errorf("%w: %s", ErrUnsigned, rules.Name)
	}
	return nil
}

func (p *public) takeEntries(f *publicJSON) error {
	seen := newRegister(p.rules)
	next := uint64(0) // the least index that may follow
	for i, a := range f.Accounts {
		if uint64(a.Index) < next || i == 0 && a.Index != 0 || a.Index >= hardened {
			return fmt.Errorf("account %d: %w: %d", i, ErrIndex, a.Index)
		}
		account, err := seen.add(a.Name, a.Address)
		if err != nil {
			return fmt.Errorf("account %d: %w", i, err)
		}
		next = uint64(a.Index) + 1
		p.accounts = append(p.accounts, Entry{Name: a.Name, Account: account, Own: true, Index: a.Index})
	}
	if len(p.accounts) == 0 {
		return errors.New("there is no account 0")
	}
	for i, o := range f.Watch {
		account, err := seen.add(o.Name, o.Address)
		if err != nil {
			return fmt.Errorf("watched account %d: %w", i, err)
		}
		p.watched = append(p.watched, Entry{Name: o.Name, Account: account})
	}
	return nil
}

func (p *public) takeOutbox(list []pendingJSON) error {
	seen := map[types.Hash]bool{}
	for i, f := range list {
		t, err := p.readPending(f)
		if err == nil && seen[f.ID] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return fmt.Errorf("transfer %d of the outbox, %v: %w", i, f.ID, err)
		}
		seen[f.ID] = true
		p.outbox = append(p.outbox, pending{t, f.Sent})
	}
	return nil
}

func (p *public) readPending(f pendingJSON) (types.Transfer, error) {
	b, err := hex.DecodeString(f.Transfer)
	if err != nil {
		return types.Transfer{}, err
	}
	t, err := types.DecodeTransfer(b)
	if err != nil {
		return t, err
	}
	if id := t.ID(); id != f.ID {
		return t, fmt.Errorf("%w: its id is %v", ErrDamaged, id)
	}
	return t, check(p.rules, &t)
}

// encode writes public.json.
func (p *public) encode() []byte {
	f := publicJSON{
		Cairn:    publicFormat,
		Genesis:  p.rules.JSON(),
		Accounts: []accountJSON{},
		Watch:    []watchJSON{},
		Outbox:   []pendingJSON{},
	}
	for _, e := range p.accounts {
		f.Accounts = append(f.Accounts, accountJSON{e.Index, e.Name, p.rules.FormatAccount(e.Account)})
	}
	for _, e := range p.watched {
		f.Watch = append(f.Watch, watchJSON{e.Name, p.rules.FormatAccount(e.Account)})
	}
	for _, o := range p.outbox {
		f.Outbox = append(f.Outbox, pendingJSON{o.transfer.ID(), hex.EncodeToString(o.transfer.Append(nil)), o.sent})
	}
	return encode(f)
}

// checked returns p as it is read back from its bytes, or why it could not be.
func (p *public) checked() (*public, []byte, error) {
	data := p.encode()
	read, err := parsePublic(data)
	return read, data, err
}
