package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/skip2/go-qrcode"
	"github.com/spf13/cobra"

	"cairn/wallet"
)

func (a *app) receiveCommand() *cobra.Command {
	var amount, label, message string
	var code bool
	cmd := &cobra.Command{
		Use:     "receive [ACCOUNT]",
		Short:   "Ask to be paid: an address as a payment URI and a QR code",
		GroupID: groupMoney,
		Long: `Prints a payment URI for an account, without ACCOUNT for the wallet's first, and
on a terminal a QR code of it. Whoever pays gives the URI to "cairn send".
No node is asked.`,
		Example: `  cairn receive
  cairn receive --amount 2.5 --label "Corner shop" --message "Order 7"
  cairn send 'cairn:harbour1…?amount=2.5&label=Corner%20shop'`,
		Args: cobra.MaximumNArgs(1),
	}
	m := a.useMeans(cmd, meansWallet, meansJSON)
	f := cmd.Flags()
	f.StringVar(&amount, "amount", "", "`coins` that are asked for")
	f.StringVar(&label, "label", "", "`name` of who is paid")
	f.StringVar(&message, "message", "", "`text` that says what for; it becomes the transfer's memo")
	f.BoolVar(&code, "qr", false, "the QR code also where standard output is no terminal")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		b, e, err := m.account(args)
		if err != nil {
			return err
		}
		p := wallet.Payment{Rules: b.Rules, Recipient: e.Account, Label: label, Message: message}
		if amount != "" {
			if p.Amount, err = b.ParseAmount(amount); err != nil {
				return usageError("--amount: %w", err)
			}
		}
		uri := p.String()
		if _, err := wallet.ParseURI(b.Rules, uri); err != nil {
			return &codeError{exitUsage, err}
		}
		if m.json {
			return a.printJSON(requestView{uri, b.accountView(e), amount, label, message})
		}
		if code || isTerminal(a.stdout) {
			if err := a.printCode(uri); err != nil {
				return err
			}
		}
		m.say("%s", uri)
		return nil
	}
	return cmd
}

// requestView is the answer of `cairn receive` in JSON.
type requestView struct {
	URI     string      `json:"uri"`
	Account accountView `json:"account"`
	Amount  string      `json:"amount,omitempty"` // coins
	Label   string      `json:"label,omitempty"`
	Message string      `json:"message,omitempty"`
}

// printCode prints a QR code, two rows of it a line. On a terminal the light squares
// are white whatever its colours are. A URI without a query means the same in upper
// case, for which there is a smaller code.
func (a *app) printCode(uri string) error {
	if !strings.Contains(uri, "?") {
		uri = strings.ToUpper(uri)
	}
	code, err := qrcode.New(uri, qrcode.Medium)
	if err != nil {
		return fmt.Errorf("the QR code: %w; ask with a shorter label or message", err)
	}
	text := code.ToSmallString(false)
	if isTerminal(a.stdout) {
		text = strings.ReplaceAll("\x1b[97;40m"+text, "\n", "\x1b[0m\n\x1b[97;40m")
		text = strings.TrimSuffix(text, "\x1b[97;40m")
	}
	_, err = bytes.NewBufferString(text).WriteTo(a.stdout)
	return err
}
