package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cairn/api/client"
	"cairn/consensus"
	"cairn/node"
	"cairn/types"
	"cairn/wallet"
)

func (a *app) walletCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "wallet",
		Short:   "Make, restore and look after a wallet",
		GroupID: groupMoney,
		Long: `A wallet holds the keys of one person on one network with signatures: 24 words
under a passphrase, from which every key follows, and names for accounts.
docs/wallet.md says what its files are and how to come back from a loss.`,
		Example: `  cairn wallet new                       # of the network of the node on this machine
  cairn wallet new --network harbour.json
  cairn wallet list
  cairn wallet watch shop harbour1…
  cairn wallet restore --wallet ~/again`,
	})
	cmd.AddCommand(a.walletNewCommand(), a.walletRestoreCommand(), a.walletListCommand(), a.walletAddressCommand(), a.walletAddCommand(),
		a.walletWatchCommand(), a.walletUnwatchCommand(), a.walletRenameCommand(), a.walletPassphraseCommand(), a.walletWordsCommand())
	return cmd
}

func (a *app) walletNewCommand() *cobra.Command {
	var wordsOut string
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a wallet, and show the words that bring it back",
		Long: `Makes a wallet. The rules of its network come from a genesis file, or else from
the node; then compare the chain ID with one that you trust.

It shows 24 words. Whoever has them has the money, and without them a lost or
broken disk takes the money with it: so write them on paper, and nowhere else.
Then it asks four of them back. For scripts, --words-out writes them to a file.`,
		Example: `  cairn wallet new
  cairn wallet new --network harbour.json --wallet ~/savings
  cairn wallet new --words-out words.txt --passphrase-file passphrase.txt`,
		Args: cobra.NoArgs,
	}
	m := a.useMeans(cmd, meansNode, meansWallet, meansPassphrase, meansNetwork, meansJSON)
	cmd.Flags().StringVar(&wordsOut, "words-out", "", "write the words to a new `file` that only you can read, and ask nothing back")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		dir, rules, err := m.beginWallet(ctx)
		if err != nil {
			return err
		}
		if wordsOut == "" && !(isTerminal(a.stdin) && isTerminal(a.stderr)) {
			return usageError("the words are shown on a terminal only, and this is none: --words-out FILE writes them to a file")
		}
		passphrase, err := m.newPassphrase(ctx)
		if err != nil {
			return err
		}
		words := wallet.NewWords()
		if wordsOut != "" {
			err = a.writeNew(wordsOut, []byte(words.Reveal()+"\n"), 0o600)
		} else {
			err = a.showAndAskBack(ctx, words)
		}
		if err != nil {
			return err
		}
		w, err := wallet.Create(dir, rules, words, passphrase)
		if err != nil {
			if wordsOut != "" && wordsOut != "-" {
				os.Remove(wordsOut) // they are of no wallet
			}
			return err
		}
		return m.reportNew(dir, w)
	}
	return cmd
}

// beginWallet finds out where a wallet is to be made and for which network, before
// a person is asked for anything.
func (m *means) beginWallet(ctx context.Context) (string, *consensus.Rules, error) {
	dir, err := m.walletPath()
	if err != nil {
		return "", nil, err
	}
	if err := wallet.Vacant(dir); err != nil {
		return "", nil, err
	}
	var rules *consensus.Rules
	if m.Network != "" {
		if rules, err = node.LoadNetwork(m.Network); err != nil {
			return "", nil, &codeError{exitUsage, err}
		}
	} else {
		c, err := m.client()
		if err != nil {
			return "", nil, err
		}
		if rules, err = m.networkOf(ctx, c); err != nil {
			return "", nil, fmt.Errorf("%w; or name the network's genesis file with --network FILE", err)
		}
		fmt.Fprintf(m.a.stderr, "The node at %s is of the network %s. Compare its chain ID with one that you trust:\n  %v\n", m.url(), rules.Name, rules.ChainID())
	}
	if !rules.Signatures {
		return "", nil, fmt.Errorf("%w (%s); there, submit transfers with create-transaction", wallet.ErrUnsigned, rules.Name)
	}
	return dir, rules, nil
}

// reportNew says what was made.
func (m *means) reportNew(dir string, w *wallet.Wallet) error {
	if m.json {
		return m.a.printJSON(walletJSON(dir, w))
	}
	m.say("Made a wallet of %s in %s", w.Rules().Name, dir)
	for _, e := range w.Accounts() {
		m.say("  %s  %s", e.Name, w.Rules().FormatAccount(e.Account))
	}
	m.say("Be paid:   cairn receive\nPay:       cairn send AMOUNT TO\nAll of it: cairn wallet list, docs/wallet.md")
	return nil
}

// showAndAskBack shows the words, takes them away again, and asks for four of them.
func (a *app) showAndAskBack(ctx context.Context, words wallet.Words) error {
	fmt.Fprint(a.stderr, "\nWrite these words on paper, in this order, and keep it where you keep money.\n"+
		"Whoever reads them can spend all of it; nobody can replace them. No photo, no file.\n\n"+numbered(words)+
		"\nThen press Enter: they go away, and four of them are asked for. ")
	if _, err := a.readLine(ctx, false); err != nil {
		return err
	}
	fmt.Fprint(a.stderr, "\x1b[H\x1b[2J\x1b[3J") // what has scrolled away too
	ask := func(position int) (string, error) {
		fmt.Fprintf(a.stderr, "Word %d: ", position)
		return a.readLine(ctx, false)
	}
	return askBack(words, rand.Perm, ask)
}

// numbered returns the words in columns, each with its position.
func numbered(words wallet.Words) string {
	const columns = 4
	list := strings.Fields(words.Reveal())
	rows := (len(list) + columns - 1) / columns
	var b strings.Builder
	for row := range rows {
		for i := row; i < len(list); i += rows {
			fmt.Fprintf(&b, "  %2d %-10s", i+1, list[i])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// askBack asks for four words by their positions, each at most three times. Perm
// returns the numbers below n in a random order.
func askBack(words wallet.Words, perm func(n int) []int, ask func(position int) (string, error)) error {
	const asked, tries = 4, 3
	list := strings.Fields(words.Reveal())
	positions := perm(len(list))[:asked]
	slices.Sort(positions)
	for _, i := range positions {
		right := false
		for try := 0; try < tries && !right; try++ {
			word, err := ask(i + 1)
			if err != nil {
				return err
			}
			right = strings.EqualFold(strings.TrimSpace(word), list[i])
		}
		if !right {
			return fmt.Errorf("word %d was not right %d times, so no wallet was made: begin again, and write the words down as they are shown", i+1, tries)
		}
	}
	return nil
}

func (a *app) walletRestoreCommand() *cobra.Command {
	var wordsFile string
	var offline bool
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a wallet again from its words",
		Long: `Makes a wallet from 12 to 24 words, and finds the accounts that were used: it
asks the node for one account after the other until 20 in a row have no history.
The names that accounts had are not in the words; "cairn wallet rename" gives
them again.

The words are asked for without showing them, or read from --words-file or from
standard input.`,
		Example: `  cairn wallet restore
  cairn wallet restore --network harbour.json --offline
  cairn wallet restore --words-file words.txt --passphrase-file passphrase.txt`,
		Args: cobra.NoArgs,
	}
	m := a.useMeans(cmd, meansNode, meansWallet, meansPassphrase, meansNetwork, meansJSON)
	cmd.Flags().StringVar(&wordsFile, "words-file", "", "`file` with the words, - for standard input")
	cmd.Flags().BoolVar(&offline, "offline", false, "ask no node which accounts were used; takes the first, needs --network")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		if offline && m.Network == "" {
			return usageError("--offline needs the network's genesis file: --network FILE")
		}
		dir, rules, err := m.beginWallet(ctx)
		if err != nil {
			return err
		}
		var c *client.Client
		if !offline {
			if c, err = m.client(); err != nil {
				return err
			}
			if _, err := m.onNetwork(ctx, c, rules, "the wallet to be restored"); err != nil {
				return fmt.Errorf("%w; or restore without a node: --offline", err)
			}
		}
		words, err := a.readWords(ctx, wordsFile)
		if err != nil {
			return err
		}
		passphrase, err := m.newPassphrase(ctx)
		if err != nil {
			return err
		}
		var indexes []uint32
		if !offline {
			if indexes, err = m.discover(ctx, c, rules, words); err != nil {
				return err
			}
		}
		w, err := wallet.Create(dir, rules, words, passphrase, indexes...)
		if err != nil {
			return err
		}
		return m.reportNew(dir, w)
	}
	return cmd
}

func (a *app) readWords(ctx context.Context, file string) (wallet.Words, error) {
	if file == "" && isTerminal(a.stdin) {
		fmt.Fprint(a.stderr, "The words, with spaces between them (they are not shown): ")
		line, err := a.readLine(ctx, true)
		if err != nil {
			return wallet.Words{}, err
		}
		return wallet.ParseWords(line)
	}
	if file == "" {
		file = "-"
	}
	const most = 1 << 16
	text, err := a.readFile(file, most)
	if err != nil {
		return wallet.Words{}, &codeError{exitUsage, fmt.Errorf("the words: %w", err)}
	}
	return wallet.ParseWords(string(text))
}

// discover asks the node which accounts of the words were used.
func (m *means) discover(ctx context.Context, c *client.Client, rules *consensus.Rules, words wallet.Words) ([]uint32, error) {
	p := m.a.progress()
	defer p.end()
	asked := uint64(0)
	return wallet.Discover(words, func(account types.Account) (bool, error) {
		asked++
		p.show("looking for accounts", asked, 0, false)
		used, err := wasUsed(ctx, c, rules.FormatAccount(account))
		return used, m.asked(err)
	})
}

func wasUsed(ctx context.Context, c *client.Client, address string) (bool, error) {
	data, err := c.AccountData(ctx, address)
	if err != nil {
		return false, err
	}
	if data.Balance != 0 || data.Pending.IncomingTransfers+data.Pending.OutgoingTransfers > 0 {
		return true, nil
	}
	for _, err := range c.AccountHistory(ctx, address) {
		return err == nil, err
	}
	return false, nil
}
