package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cairn/consensus"
	"cairn/node"
)

func (a *app) genesisCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "genesis",
		Short:   "Make and explain genesis files, the rules of a network",
		GroupID: groupNetwork,
	})
	cmd.AddCommand(a.genesisNewCommand(), a.genesisShowCommand())
	return cmd
}

// draft is a genesis file as flags write it. Amounts are decimal text, because
// what they mean in base units depends on Decimals; consensus reads them.
type draft struct {
	Name            string            `json:"name"`
	Symbol          string            `json:"symbol"`
	Decimals        uint8             `json:"decimals"`
	AddressPrefix   string            `json:"address_prefix"`
	Time            uint32            `json:"time"`
	Bits            string            `json:"bits"`
	BlockInterval   uint32            `json:"block_interval"`
	HalfLife        uint32            `json:"half_life"`
	Reward          string            `json:"reward"`
	HalvingInterval uint32            `json:"halving_interval"`
	MaxBlockSize    uint32            `json:"max_block_size"`
	TxLifetime      uint32            `json:"tx_lifetime"`
	MinBalance      string            `json:"min_balance"`
	Signatures      bool              `json:"signatures"`
	CreditLimit     *string           `json:"credit_limit"`
	Allocations     map[string]string `json:"allocations"`
}

func (a *app) genesisNewCommand() *cobra.Command {
	var d draft
	var out, credit string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the genesis file of a new network",
		Long: `Writes the genesis file of a new network, NAME.json unless --out says otherwise.
Every flag has a default that suits a small currency; only the name is asked
for, 1 to 32 of a-z, 0-9 and -. A file that exists is never overwritten.

Everyone who is to take part gets the same file: its genesis block commits to
every rule in it. "cairn genesis show FILE" says what each of them means.`,
		Example: `  cairn genesis new harbour
  cairn genesis new harbour --symbol HBR --reward 50 --halving-interval 2100000
  cairn genesis new playground --signatures=false --allocate alice=100 --allocate bob=50`,
		Args: cobra.MaximumNArgs(1),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&out, "out", "o", "", "`file` to write, - for standard output (default: NAME.json)")
	f.StringVar(&d.Symbol, "symbol", "", "currency symbol (default: the first letters of the name)")
	f.Uint8Var(&d.Decimals, "decimals", 6, "decimal places of a coin, 0–8")
	f.StringVar(&d.AddressPrefix, "address-prefix", "", "what accounts begin with (default: the letters and digits of the name)")
	f.Uint32Var(&d.Time, "time", 0, "Unix `seconds` of the genesis block (default: now)")
	f.StringVar(&d.Bits, "bits", "1f00ffff", "easiest target, compact form in `hex`; the first block's")
	f.Uint32Var(&d.BlockInterval, "block-interval", 10, "`seconds` that a block should take")
	f.Uint32Var(&d.HalfLife, "half-life", 0, "`seconds` of delay that halve the difficulty, 0 keeps it fixed (default: 36 intervals)")
	f.StringVar(&d.Reward, "reward", "1", "new `coins` for each block")
	f.Uint32Var(&d.HalvingInterval, "halving-interval", 0, "`blocks` after which the reward halves, 0 for never")
	f.Uint32Var(&d.MaxBlockSize, "max-block-size", 1_000_000, "`bytes` of a block, at most")
	f.Uint32Var(&d.TxLifetime, "tx-lifetime", 8640, "`blocks` that a transfer may wait, at most")
	f.StringVar(&d.MinBalance, "min-balance", "0.001", "`coins` that an account must keep, if it keeps any")
	f.BoolVar(&d.Signatures, "signatures", true, "accounts are keys and every transfer is signed; =false: accounts are names that anyone may use")
	f.StringVar(&credit, "credit-limit", "0", "`coins` that a balance may go below zero, or unlimited; above 0 only without signatures")
	f.StringToStringVar(&d.Allocations, "allocate", map[string]string{}, "initial balance, `ACCOUNT=COINS` (repeat for more)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := a.networkName(args)
		if err != nil {
			return err
		}
		if credit != "unlimited" {
			d.CreditLimit = &credit
		}
		d.complete(name, f.Changed)
		return a.writeGenesis(d, out)
	}
	return cmd
}

// networkName returns the argument, or asks a person for it.
func (a *app) networkName(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	if !isTerminal(a.stdin) {
		return "", usageError("a network needs a name: cairn genesis new NAME (1 to 32 of a-z, 0-9 and -)")
	}
	fmt.Fprint(a.stderr, "Name of the network (a-z, 0-9 and -): ")
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}

// complete fills in the defaults that depend on the name, the clock or another
// field.
func (d *draft) complete(name string, given func(flag string) bool) {
	d.Name = name
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	if !given("symbol") {
		d.Symbol = strings.ToUpper(plain[:min(len(plain), 4)])
	}
	if !given("address-prefix") {
		prefix := strings.TrimLeft(plain, "0123456789")
		d.AddressPrefix = prefix[:min(len(prefix), 16)]
		if prefix == "" {
			d.AddressPrefix = "cairn"
		}
	}
	if !given("time") {
		d.Time = uint32(min(time.Now().Unix(), 1<<32-1))
	}
	if !given("half-life") {
		d.HalfLife = uint32(min(36*uint64(d.BlockInterval), 1<<32-1))
	}
}

// writeGenesis checks the draft as any node would and writes it.
func (a *app) writeGenesis(d draft, out string) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	rules, err := consensus.ParseGenesis(text)
	if err != nil {
		return &codeError{exitUsage, err}
	}
	if out == "-" {
		_, err := a.stdout.Write(rules.JSON())
		return err
	}
	if out == "" {
		out = rules.Name + ".json"
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not overwritten: name another file with --out, or delete it", out)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(rules.JSON())
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, `Wrote %s, the network %s (genesis block %s).
Read it:    cairn genesis show %s
Run a node: cairn --network %s%s
`, out, rules.Name, rules.ChainID(), out, out, rewardHint(rules))
	return err
}

// rewardHint is what a node needs further to mine on the network.
func rewardHint(rules *consensus.Rules) string {
	if rules.Signatures {
		return " --reward-to ACCOUNT"
	}
	return ""
}

func (a *app) genesisShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Explain a genesis file field by field",
		Long: `Explains every field of a genesis file; without FILE, of the network dev, which
is built in. With --json it prints the chain's id and the file in its plainest
form instead.`,
		Example: `  cairn genesis show harbour.json
  cairn genesis show dev --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := node.DevNetwork
			if len(args) > 0 {
				name = args[0]
			}
			rules, err := node.LoadNetwork(name)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(map[string]any{"chain_id": rules.ChainID(), "genesis": json.RawMessage(rules.JSON())})
			}
			return explain(a.stdout, rules)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false) // a URI is to be copied
	return enc.Encode(v)
}
