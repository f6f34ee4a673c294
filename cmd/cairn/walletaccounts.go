package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cairn/types"
	"cairn/wallet"
)

// accountView is an account of a wallet in JSON.
type accountView struct {
	Name    string  `json:"name,omitempty"`
	Address string  `json:"address"`
	Own     bool    `json:"own"`
	Index   *uint32 `json:"index,omitempty"` // of an own account's key
}

func (b book) accountView(e wallet.Entry) accountView {
	v := accountView{Name: e.Name, Address: b.FormatAccount(e.Account), Own: e.Own}
	if e.Own {
		v.Index = &e.Index
	}
	return v
}

// walletView is a wallet in JSON.
type walletView struct {
	Wallet   string        `json:"wallet"`
	Network  string        `json:"network"`
	ChainID  types.Hash    `json:"chain_id"`
	Accounts []accountView `json:"accounts"`
}

func walletJSON(dir string, w *wallet.Wallet) walletView {
	v := walletView{Wallet: dir, Network: w.Rules().Name, ChainID: w.Rules().ChainID(), Accounts: []accountView{}}
	for _, e := range append(w.Accounts(), w.Watched()...) {
		v.Accounts = append(v.Accounts, book{w.Rules(), w}.accountView(e))
	}
	return v
}

// table writes rows with tabs between their cells in columns.
func table(w io.Writer, rows ...string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, row)
	}
	return t.Flush()
}

func (a *app) walletListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the wallet's accounts and those that it watches",
		Example: "  cairn wallet list\n  cairn wallet list --json",
		Args:    cobra.NoArgs,
	}
	m := a.useMeans(cmd, meansWallet, meansJSON)
	cmd.RunE = func(*cobra.Command, []string) error {
		dir, err := m.walletPath()
		if err != nil {
			return err
		}
		w, err := wallet.Open(dir)
		if err != nil {
			return err
		}
		if m.json {
			return a.printJSON(walletJSON(dir, w))
		}
		m.say("%s, of the network %s (chain %v)", dir, w.Rules().Name, w.Rules().ChainID())
		var rows []string
		for _, e := range append(w.Accounts(), w.Watched()...) {
			rows = append(rows, fmt.Sprintf("  %s\t%s\t%s", e.Name, w.Rules().FormatAccount(e.Account), choose(e.Own, "", "watched")))
		}
		return table(a.stdout, rows...)
	}
	return cmd
}

func (a *app) walletAddressCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "address [ACCOUNT]",
		Short:   "Print the address of an account and nothing else",
		Example: "  cairn --mine --network harbour.json --reward-to $(cairn wallet address)",
		Args:    cobra.MaximumNArgs(1),
	}
	m := a.useMeans(cmd, meansWallet)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		b, e, err := m.account(args)
		if err != nil {
			return err
		}
		m.say("%s", b.FormatAccount(e.Account))
		return nil
	}
	return cmd
}

// account returns the account of the wallet that the first argument names; without
// one, the main account.
func (m *means) account(args []string) (book, wallet.Entry, error) {
	w, err := m.open()
	if err != nil {
		return book{}, wallet.Entry{}, err
	}
	b := book{w.Rules(), w}
	if len(args) == 0 {
		return b, b.main(), nil
	}
	e, err := b.find(args[0])
	return b, e, err
}

func (a *app) walletAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a further account of the wallet's words",
		Long: `Adds the next account that follows from the wallet's words, under a name. The
same words bring it back.`,
		Example: `  cairn wallet add savings`,
		Args:    cobra.ExactArgs(1),
	}
	m := a.useMeans(cmd, meansWallet, meansPassphrase, meansJSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, err := m.open()
		if err != nil {
			return err
		}
		keys, err := m.unlock(cmd.Context(), w)
		if err != nil {
			return err
		}
		e, err := w.AddAccount(keys, args[0])
		if err != nil {
			return err
		}
		b := book{w.Rules(), w}
		if m.json {
			return a.printJSON(b.accountView(e))
		}
		m.say("%s  %s", e.Name, b.FormatAccount(e.Account))
		return nil
	}
	return cmd
}

func (a *app) walletWatchCommand() *cobra.Command {
	return a.walletChange("watch NAME ADDRESS", "Give a name to an account of someone else's",
		"  cairn wallet watch shop harbour1…\n  cairn send 2.5 shop", 2,
		func(w *wallet.Wallet, args []string) (string, error) {
			return fmt.Sprintf("%s is watched now.", args[0]), w.Watch(args[0], args[1])
		})
}

func (a *app) walletUnwatchCommand() *cobra.Command {
	return a.walletChange("unwatch NAME", "Forget an account of someone else's", "  cairn wallet unwatch shop", 1,
		func(w *wallet.Wallet, args []string) (string, error) {
			return fmt.Sprintf("%s is forgotten.", args[0]), w.Unwatch(args[0])
		})
}

func (a *app) walletRenameCommand() *cobra.Command {
	return a.walletChange("rename OLD NEW", "Give another name to an account", "  cairn wallet rename main everyday", 2,
		func(w *wallet.Wallet, args []string) (string, error) {
			return fmt.Sprintf("%s is %s now.", args[0], args[1]), w.Rename(args[0], args[1])
		})
}

// walletChange makes a command that changes names, which needs no passphrase.
func (a *app) walletChange(use, short, example string, args int, change func(*wallet.Wallet, []string) (string, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ExactArgs(args)}
	m := a.useMeans(cmd, meansWallet)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		w, err := m.open()
		if err != nil {
			return err
		}
		done, err := change(w, args)
		if err != nil {
			return err
		}
		m.say("%s", done)
		return nil
	}
	return cmd
}

func (a *app) walletPassphraseCommand() *cobra.Command {
	var newFile string
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Change the wallet's passphrase",
		Long: `Encrypts the words under another passphrase. Copies of the old files keep the old
one: if somebody else may know it, move the money to a new wallet instead.`,
		Example: `  cairn wallet passphrase
  cairn wallet passphrase --passphrase-file old.txt --new-passphrase-file new.txt`,
		Args: cobra.NoArgs,
	}
	m := a.useMeans(cmd, meansWallet, meansPassphrase)
	cmd.Flags().StringVar(&newFile, "new-passphrase-file", "", "`file` with the new passphrase on its first line (default: it is asked for)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w, err := m.open()
		if err != nil {
			return err
		}
		if newFile == "" && !isTerminal(a.stdin) {
			return usageError("the new passphrase is asked for on a terminal, and standard input is none: give it with --new-passphrase-file FILE")
		}
		_, old, err := m.unlockWith(cmd.Context(), w)
		if err != nil {
			return err
		}
		var passphrase []byte
		if newFile != "" {
			passphrase, err = passphraseFrom(newFile, "--new-passphrase-file")
		} else {
			passphrase, err = a.askNewPassphrase(cmd.Context())
		}
		if err != nil {
			return err
		}
		if err := w.ChangePassphrase(old, passphrase); err != nil {
			return err
		}
		m.say("The passphrase is changed. The words are the same.")
		return nil
	}
	return cmd
}

func (a *app) walletWordsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "words",
		Short: "Show the words that bring the wallet back",
		Long: `Shows the wallet's words: numbered on a terminal, on one line elsewhere. Whoever
sees them can spend everything.`,
		Example: `  cairn wallet words`,
		Args:    cobra.NoArgs,
	}
	m := a.useMeans(cmd, meansWallet, meansPassphrase)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w, err := m.open()
		if err != nil {
			return err
		}
		fmt.Fprintln(a.stderr, "Whoever sees these words can spend everything. Look behind you; keep them on paper only.")
		keys, err := m.unlock(cmd.Context(), w)
		if err != nil {
			return err
		}
		text := keys.Words().Reveal() + "\n"
		if isTerminal(a.stdout) {
			text = numbered(keys.Words())
		}
		_, err = io.Copy(a.stdout, strings.NewReader(text))
		return err
	}
	return cmd
}
