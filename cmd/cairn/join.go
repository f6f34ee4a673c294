package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"github.com/spf13/cobra"

	"cairn/api/client"
	"cairn/node"
	"cairn/p2p"
)

func (a *app) inviteCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "invite [URL]",
		Short:   "Print what others need to join a running node's network",
		GroupID: groupNode,
		Long: `Prints an invite to the network of the node at URL; without URL, of the one on
this machine that the settings name. Whoever has it runs "cairn join". It names
the network by the hash of its genesis block and holds addresses, nothing that is
secret; to join a closed network takes the key file as well.

On a terminal there is a QR code too, of a shorter invite: the genesis file and
some of the addresses are left to the peers to tell.`,
		Example: `  cairn invite
  cairn invite http://192.168.1.7:5000 > invite.txt`,
		Args: cobra.MaximumNArgs(1),
	}
	s := a.useSettings(cmd, "host", "port")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, url, err := s.at(args)
		if err != nil {
			return err
		}
		invite, err := c.Invite(cmd.Context())
		if err != nil {
			return unanswered(url, "invite", err)
		}
		if asJSON {
			return a.printJSON(invite)
		}
		if parsed, err := p2p.ParseInvite(invite.Invite); err == nil && isTerminal(a.stdout) {
			parsed.Genesis = nil
			parsed.Peers = reachable(parsed.Peers)[:min(2, len(parsed.Peers))]
			if err := a.printCode(parsed.String()); err != nil {
				return err
			}
		}
		fmt.Fprintln(a.stdout, invite.Invite)
		if invite.Closed {
			fmt.Fprintln(a.stderr, "The network is closed: whoever joins needs its key file as well, for --p2p-key.")
		}
		return nil
	}
	return cmd
}

func (a *app) joinCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "join INVITE|-",
		Short:   "Run a node of the network of an invite",
		GroupID: groupNetwork,
		Long: `Makes a node's directory for the network of an invite, which "cairn invite"
prints, and runs the node; - reads the invite from standard input. The genesis
file is in the invite, or comes from its peers, and is checked against the hash
that the invite promises.

The node remembers the invite: later "cairn" with the same --data or --port and
--network is enough. A directory that holds the network already is gone on with.`,
		Example: `  cairn join cairn-invite:…
  cairn join - --data harbour < invite.txt
  cairn join cairn-invite:… --p2p-key harbour.key`,
		Args: cobra.ExactArgs(1),
	}
	s := a.useSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text := args[0]
		if text == "-" {
			b, err := a.readFile(text, p2p.MaxInvite)
			if err != nil {
				return err
			}
			text = string(b)
		}
		invite, err := p2p.ParseInvite(text)
		if err != nil {
			return &codeError{exitUsage, err}
		}
		if invite.Genesis == nil {
			key, err := node.LoadPeerKey(s.P2PKey)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stderr, "Asking the peers of the invite for the genesis file …")
			rules, err := p2p.FetchGenesis(cmd.Context(), invite, key)
			if err != nil {
				return err
			}
			invite.Genesis = rules.JSON()
		}
		s.Invite, s.P2P = &invite, node.PeersOn
		return a.runNode(cmd.Context(), s, a.watchSync(invite))
	}
	return cmd
}

// watchSync shows a person how far the node is, until it has at least the work of
// the invite.
func (a *app) watchSync(invite p2p.Invite) func(context.Context, node.Info) {
	want, _ := new(big.Int).SetString(invite.Work.String(), 10) // of decimal digits
	return func(ctx context.Context, info node.Info) {
		if !isTerminal(a.stderr) {
			return
		}
		c, err := client.New(info.URL, client.Options{Token: info.Token})
		if err != nil {
			return
		}
		p := a.progress()
		defer p.end()
		tick := time.NewTicker(time.Second / 2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			status, err := c.Status(ctx)
			if err != nil {
				continue
			}
			work, ok := new(big.Int).SetString(status.Work, 10)
			switch {
			case status.Sync.Running:
				p.show("blocks", uint64(status.Height), uint64(status.Sync.Height), false)
			case ok && work.Cmp(want) >= 0:
				p.end()
				fmt.Fprintf(a.stderr, "The node has caught up, at height %d.\n", status.Height)
				return
			}
		}
	}
}

func (a *app) peerKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "p2p-key FILE",
		Short:   "Make the key of a closed network",
		GroupID: groupNetwork,
		Long: `Writes a new key to FILE, which must not exist. Nodes that run with --p2p-key and
copies of the file form a closed network: they have no connections with others,
and whoever listens on the way reads nothing. Hand the file on as you would a
password. It is in the form of libp2p's swarm keys.`,
		Example: `  cairn p2p-key harbour.key
  cairn --network harbour.json --p2p-key harbour.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var key [32]byte
			rand.Read(key[:]) // never fails
			text := "/key/swarm/psk/1.0.0/\n/base16/\n" + hex.EncodeToString(key[:]) + "\n"
			return a.writeNew(args[0], []byte(text), 0o600)
		},
	}
}
