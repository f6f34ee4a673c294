package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cairn/api/client"
	"cairn/consensus"
	"cairn/node"
	"cairn/types"
	"cairn/wallet"
)

// means are what the commands about money work with: a node, a wallet and its
// passphrase. A command has flags only for those that it asked for.
type means struct {
	*settings
	a            *app
	flags        *pflag.FlagSet
	node         string // URL; "": of the node that the settings name
	tokenFile    string
	passphraseFD int
	given        []byte // passphrase, once it was read
	json         bool
}

// What a command can ask useMeans for.
const (
	meansNode       = "node"
	meansWallet     = "wallet"
	meansPassphrase = "passphrase"
	meansNetwork    = "network"
	meansJSON       = "json"
)

// useMeans gives cmd the flags for some of the means.
func (a *app) useMeans(cmd *cobra.Command, wanted ...string) *means {
	has := func(name string) bool { return slices.Contains(wanted, name) }
	m := &means{a: a, flags: cmd.Flags()}
	names := []string{"none"} // no name at all would be every setting
	if has(meansNode) {
		names = append(names, "port")
	}
	if has(meansWallet) {
		names = append(names, "wallet")
	}
	if has(meansPassphrase) {
		names = append(names, "passphrase-file")
	}
	if has(meansNetwork) {
		names = append(names, "network")
	}
	m.settings = a.useSettings(cmd, names...)
	usage := func(flag, text string) {
		if f := m.flags.Lookup(flag); f != nil {
			f.Usage = text
		}
	}
	usage("port", "`port` of the node on this machine, unless --node says where it is")
	usage("network", "genesis `file` of the network (default: what the node says, for you to compare)")
	if has(meansNode) {
		m.flags.StringVar(&m.node, "node", "", "`URL` of the node (default: on this machine, where the settings host and port say)")
		m.flags.StringVar(&m.tokenFile, "token-file", "", "`file` with a token of the node on its first line")
	}
	if has(meansPassphrase) {
		m.flags.IntVar(&m.passphraseFD, "passphrase-fd", -1, "`number` of an open file to read the passphrase from")
	}
	if has(meansJSON) {
		m.flags.BoolVar(&m.json, "json", false, "print JSON, for programs")
	}
	return m
}

// say writes a line for a person: to standard output, or to standard error where
// that is for JSON.
func (m *means) say(format string, args ...any) {
	w := m.a.stdout
	if m.json {
		w = m.a.stderr
	}
	fmt.Fprintf(w, format+"\n", args...)
}

// url is where the node is.
func (m *means) url() string {
	if m.node != "" {
		return m.node
	}
	return m.settings.url()
}

// client returns a client of the node; nothing is asked yet.
func (m *means) client() (*client.Client, error) {
	var o client.Options
	if m.tokenFile != "" {
		f, err := os.Open(m.tokenFile)
		if err != nil {
			return nil, &codeError{exitUsage, fmt.Errorf("--token-file: %w", err)}
		}
		defer f.Close()
		token, err := wallet.ReadPassphrase(f)
		if err != nil {
			return nil, usageError("--token-file %s has no token on its first line", m.tokenFile)
		}
		o.Token = strings.TrimSpace(string(token))
	}
	c, err := client.New(m.url(), o)
	if err != nil {
		return nil, &codeError{exitUsage, err}
	}
	return c, nil
}

// unreachable tells whether an error says that no node answered.
func unreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network)
}

// asked adds to an error of a call what to do about it.
func (m *means) asked(err error) error {
	switch {
	case err == nil:
		return nil
	case unreachable(err):
		return fmt.Errorf("no node answers at %s; start one with `cairn`, or say where it is with --node URL (%w)", m.url(), err)
	case errors.Is(err, client.ErrUnauthorised):
		return fmt.Errorf("%w; here: --token-file FILE", err)
	}
	return err
}

// networkOf returns the rules of the node's network, as the node says.
func (m *means) networkOf(ctx context.Context, c *client.Client) (*consensus.Rules, error) {
	genesis, err := c.Genesis(ctx)
	if err != nil {
		return nil, m.asked(err)
	}
	rules, err := consensus.ParseGenesis(genesis)
	if err != nil {
		return nil, fmt.Errorf("the node at %s: %w", m.url(), err)
	}
	return rules, nil
}

// onNetwork asks the node how it is, and refuses one of another network.
func (m *means) onNetwork(ctx context.Context, c *client.Client, rules *consensus.Rules, whose string) (client.Status, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return status, m.asked(err)
	}
	if status.ChainID != rules.ChainID() {
		return status, fmt.Errorf("the node at %s is %w: chain %v of %s; %s is of chain %v of %s. Name another node with --node URL",
			m.url(), wallet.ErrNetwork, status.ChainID, status.Network, whose, rules.ChainID(), rules.Name)
	}
	return status, nil
}

// walletPath is where the wallet is, or will be.
func (m *means) walletPath() (string, error) {
	if m.settings.walletDir != "" {
		return m.settings.walletDir, nil
	}
	dir, err := node.DefaultWallet()
	if err != nil {
		return "", usageError("the environment names no home directory: say where the wallet is with --wallet DIR")
	}
	return dir, nil
}

// open opens the wallet.
func (m *means) open() (*wallet.Wallet, error) {
	dir, err := m.walletPath()
	if err != nil {
		return nil, err
	}
	return wallet.Open(dir)
}

// book is a network, and the wallet where there is one of it: what gives names to
// accounts and accounts to names.
type book struct {
	*consensus.Rules
	wallet *wallet.Wallet // nil: none
}

// find returns what a person calls an account.
func (b book) find(text string) (wallet.Entry, error) {
	if b.wallet != nil {
		e, err := b.wallet.Account(text)
		if err != nil {
			return e, &codeError{exitUsage, err}
		}
		return e, nil
	}
	account, err := b.ParseAccount(text)
	if err != nil {
		return wallet.Entry{}, &codeError{exitUsage, fmt.Errorf("%w (and there is no wallet of %s here that could know a name)", err, b.Name)}
	}
	return wallet.Entry{Account: account}, nil
}

// main returns the account that is meant when none is named.
func (b book) main() wallet.Entry { return b.wallet.Accounts()[0] }

// name returns the name of an account, else its address.
func (b book) name(account types.Account) string {
	text := b.FormatAccount(account)
	if b.wallet == nil {
		return printable(text)
	}
	if e, err := b.wallet.Account(text); err == nil && e.Name != "" {
		return e.Name
	}
	return printable(text)
}

// full returns the name and the address of an account.
func (b book) full(account types.Account) string {
	text := printable(b.FormatAccount(account))
	if name := b.name(account); name != text {
		return name + " " + text
	}
	return text
}

// coins writes base units with the symbol.
func (b book) coins(units uint64) string { return b.FormatAmount(units) + " " + b.Symbol }

// signed writes a change of a balance with its sign and the symbol.
func (b book) signed(units int64) string {
	text := b.FormatBalance(units) + " " + b.Symbol
	if units > 0 {
		return "+" + text
	}
	return text
}

// look returns a client and the book for commands that only look something up: of
// the wallet's network if the node is of it. Otherwise the node's word counts, when
// accounts are named; without any, it is the wallet's that are asked for.
func (m *means) look(ctx context.Context, named bool) (*client.Client, book, error) {
	c, err := m.client()
	if err != nil {
		return nil, book{}, err
	}
	w, walletErr := m.open()
	if walletErr != nil && !named {
		if errors.Is(walletErr, wallet.ErrNoWallet) {
			walletErr = fmt.Errorf("%w, or name an account", walletErr)
		}
		return nil, book{}, walletErr
	}
	if !named {
		_, err := m.onNetwork(ctx, c, w.Rules(), "the wallet")
		return c, book{w.Rules(), w}, err
	}
	rules, err := m.networkOf(ctx, c)
	if err != nil {
		return nil, book{}, err
	}
	if walletErr == nil && w.Rules().ChainID() == rules.ChainID() {
		return c, book{rules, w}, nil
	}
	return c, book{rules, nil}, nil
}

// writeNew writes a file that must not exist; - is standard output.
func (a *app) writeNew(path string, data []byte, mode fs.FileMode) error {
	if path == "-" {
		_, err := a.stdout.Write(data)
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not overwritten: name another file, or delete it", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
