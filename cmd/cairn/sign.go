package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cairn/api/client"
	"cairn/wallet"
)

// maxDocument is the most bytes of a transfer document: it holds a genesis file.
const maxDocument = 64 << 20

// writeUnsigned writes a transfer for "cairn sign". With a fee and an expiry no node
// is needed.
func (m *means) writeUnsigned(ctx context.Context, b book, o order, s *sendOptions) error {
	var c *client.Client
	var height uint32
	if s.fee == "" || s.expiry == 0 {
		var err error
		if c, err = m.client(); err != nil {
			return err
		}
		status, err := m.onNetwork(ctx, c, b.Rules, "the wallet")
		if err != nil {
			return fmt.Errorf("%w; with both --fee COINS and --expiry HEIGHT no node is needed", err)
		}
		height = status.Height
	}
	t, err := m.prepare(ctx, c, b, o, s, height)
	if err != nil {
		return err
	}
	d, err := wallet.NewDocument(b.Rules, t)
	if err != nil {
		return err
	}
	if err := m.a.writeNew(s.unsigned, d.Encode(), 0o644); err != nil {
		return err
	}
	m.json = m.json || s.unsigned == "-" // then standard output is the document
	m.showTransfer(b, &t)
	m.say("  expires  at height %d", t.Expiry)
	m.say("It is not signed. Where the keys are: cairn sign %s", s.unsigned)
	return nil
}

// document reads a transfer document.
func (a *app) document(file string) (*wallet.Document, error) {
	data, err := a.readFile(file, maxDocument)
	if err != nil {
		return nil, &codeError{exitUsage, err}
	}
	d, err := wallet.ParseDocument(data)
	if err != nil {
		return nil, &codeError{exitUsage, fmt.Errorf("%s: %w", file, err)}
	}
	return d, nil
}

func (a *app) signCommand() *cobra.Command {
	var out string
	var yes bool
	cmd := &cobra.Command{
		Use:     "sign FILE",
		Short:   "Sign a transfer from a machine that knows the chain",
		GroupID: groupMoney,
		Long: `Shows the transfer that "cairn send --unsigned" wrote, asks, and writes it signed.
No node and no network are needed. A transfer of another network than the wallet's
is refused. The chain is not known here, so look at the amounts: what an account
holds, and whether the height of expiry is near, only a node can say.`,
		Example: `  cairn sign payment.json                # writes payment-signed.json
  cairn sign payment.json -o signed.json --yes --passphrase-file passphrase.txt`,
		Args: cobra.ExactArgs(1),
	}
	m := a.useMeans(cmd, meansWallet, meansPassphrase)
	cmd.Flags().StringVarP(&out, "out", "o", "", "`file` to write, - for standard output (default: FILE with -signed in its name)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes && (args[0] == "-" || !isTerminal(a.stdin)) {
			return usageError("before it signs, it shows what and asks; nobody is there to answer: --yes goes on without asking")
		}
		w, err := m.open()
		if err != nil {
			return err
		}
		b := book{w.Rules(), w}
		d, err := a.document(args[0])
		if err != nil {
			return err
		}
		if out == "" {
			out = strings.TrimSuffix(args[0], ".json") + "-signed.json"
		}
		m.json = out == "-" // then standard output is the document
		return m.signDocument(cmd.Context(), b, d, out, yes)
	}
	return cmd
}

func (m *means) signDocument(ctx context.Context, b book, d *wallet.Document, out string, yes bool) error {
	t := d.Transfer()
	if d.Rules().ChainID() != b.ChainID() {
		return fmt.Errorf("the transfer is %w: chain %v of %s; the wallet is of chain %v of %s. Name another wallet with --wallet DIR",
			wallet.ErrNetwork, d.Rules().ChainID(), printable(d.Rules().Name), b.ChainID(), b.Name)
	}
	if d.Signed() {
		return errors.New("it is signed already: cairn submit FILE")
	}
	if e, err := b.find(b.FormatAccount(t.Sender)); err != nil || !e.Own {
		return fmt.Errorf("%w: %s", wallet.ErrNotOurs, b.full(t.Sender))
	}
	m.say("A transfer on %s (chain %v):", b.Name, b.ChainID())
	m.showTransfer(b, &t)
	m.say("  expires  at height %d", t.Expiry)
	if !yes {
		if err := m.a.confirm(ctx, "Sign it?", "--yes"); err != nil {
			return err
		}
	}
	if err := m.sign(ctx, b, &t); err != nil {
		return err
	}
	signed, err := wallet.NewDocument(b.Rules, t)
	if err != nil {
		return err
	}
	if err := m.a.writeNew(out, signed.Encode(), 0o644); err != nil {
		return err
	}
	m.say("Signed %v. Where there is a node: cairn submit %s", t.ID(), out)
	return nil
}

func (a *app) submitCommand() *cobra.Command {
	var wait bool
	var confirmations uint32
	cmd := &cobra.Command{
		Use:     "submit FILE",
		Short:   "Send a transfer that was signed elsewhere",
		GroupID: groupMoney,
		Long: `Sends what "cairn sign" wrote. No wallet is needed. To send it again is safe: the
same bytes are never paid twice.`,
		Example: `  cairn submit payment-signed.json --wait
  cairn submit payment-signed.json --node http://192.168.1.7:5000 --json`,
		Args: cobra.ExactArgs(1),
	}
	m := a.useMeans(cmd, meansNode, meansWallet, meansJSON)
	cmd.Flags().BoolVar(&wait, "wait", false, "follow it until it is confirmed")
	cmd.Flags().Uint32Var(&confirmations, "confirmations", 1, "`blocks` to wait for, the one that holds it included")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		d, err := a.document(args[0])
		if err != nil {
			return err
		}
		if !d.Signed() {
			return usageError("%s is not signed: cairn sign %s, where the keys are", args[0], args[0])
		}
		c, err := m.client()
		if err != nil {
			return err
		}
		if _, err := m.onNetwork(ctx, c, d.Rules(), "the transfer"); err != nil {
			return err
		}
		b := book{Rules: d.Rules()}
		if w, err := m.open(); err == nil && w.Rules().ChainID() == b.ChainID() {
			b.wallet = w // it may know names
		}
		t := d.Transfer()
		accepted, err := c.Submit(ctx, t.Append(nil))
		if refusedForGood(err) {
			return fmt.Errorf("the node refuses it: %w%s", err, b.valuesOf(err))
		}
		if err != nil {
			return fmt.Errorf("it may or may not have reached the node; the same command sends it again, and it is never paid twice: %w", m.asked(err))
		}
		m.say("The node has it: %v (%s)", accepted.ID, accepted.Status)
		result := &client.TransactionData{ID: accepted.ID, Status: accepted.Status}
		if wait {
			if result, err = m.follow(ctx, c, b, &t, max(1, confirmations)); err != nil {
				return err
			}
		}
		return m.printSent(b, &t, result)
	}
	return cmd
}
