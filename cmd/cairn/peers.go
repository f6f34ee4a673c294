package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cairn/api/client"
)

func (a *app) peersCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "peers",
		Short:   "List, add, remove and ban the peers of a running node",
		GroupID: groupNode,
		Long: `Peers are the nodes that a node is connected to in the peer-to-peer network. It
finds them by itself; these commands are for looking and for exceptions. Without a
further word the peers are listed.`,
		Example: `  cairn peers
  cairn peers add /ip4/192.168.1.7/tcp/6000/p2p/12D3KooW…
  cairn peers ban 12D3KooW… --reason "sends rubbish" --for 48h
  cairn peers bans`,
	})
	unknown := cmd.RunE
	list := a.listPeers(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknown(cmd, args)
		}
		return list(cmd, args)
	}
	only := &cobra.Command{Use: "list", Short: "List the peers that are connected", Args: cobra.NoArgs}
	only.RunE = a.listPeers(only)
	cmd.AddCommand(only, a.addPeerCommand(), a.removePeerCommand(), a.banCommand(), a.unbanCommand(), a.bansCommand())
	return cmd
}

// listPeers gives cmd the flags of a command that lists the peers.
func (a *app) listPeers(cmd *cobra.Command) func(*cobra.Command, []string) error {
	m := a.useMeans(cmd, meansNode, meansJSON)
	return func(cmd *cobra.Command, _ []string) error {
		c, err := m.client()
		if err != nil {
			return err
		}
		list, err := c.Peers(cmd.Context())
		if err != nil {
			return m.asked(err)
		}
		if m.json {
			return a.printJSON(list)
		}
		m.say("This node is %s", list.ID)
		for _, address := range list.Addresses {
			m.say("  at %s", address)
		}
		if len(list.Peers) == 0 {
			m.say("It has no peers yet. To let one come: cairn invite; to call one: cairn peers add ADDRESS")
			return nil
		}
		rows := []string{"PEER\tWAY\tHEIGHT\tSCORE\tLATENCY\tFOR\tAGENT\tADDRESS"}
		for _, p := range list.Peers {
			rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%.3g\t%.3g ms\t%s\t%s\t%s", printable(p.ID), p.Direction, p.Height, p.Score, p.Latency,
				span(uint64(max(0, time.Now().Unix()-p.Connected))), printable(p.Agent), printable(p.Address)))
		}
		return table(a.stdout, rows...)
	}
}

// onPeer makes a command that does something with what its argument names.
func (a *app) onPeer(cmd *cobra.Command, do func(*cobra.Command, *client.Client, string) (string, error)) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	m := a.useMeans(cmd, meansNode)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := m.client()
		if err != nil {
			return err
		}
		text, err := do(cmd, c, args[0])
		if err != nil {
			return m.asked(err)
		}
		m.say("%s", text)
		return nil
	}
	return cmd
}

func (a *app) addPeerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add ADDRESS",
		Short: "Connect to a peer",
		Long: `Connects to the peer at a multiaddr that ends with /p2p/ and its ID, and stays
connected as long as the node runs. For longer start it with --peer ADDRESS.`,
	}
	return a.onPeer(cmd, func(cmd *cobra.Command, c *client.Client, address string) (string, error) {
		return "Connected.", c.AddPeer(cmd.Context(), address)
	})
}

func (a *app) removePeerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "End the connection to a peer",
		Long: `Ends the connection to a peer, and does not keep it any longer. The two may find
each other again; "cairn peers ban" is for those who shall not.`,
	}
	return a.onPeer(cmd, func(cmd *cobra.Command, c *client.Client, id string) (string, error) {
		return "Disconnected.", c.RemovePeer(cmd.Context(), id)
	})
}

func (a *app) banCommand() *cobra.Command {
	var reason string
	var long time.Duration
	cmd := &cobra.Command{Use: "ban ID", Short: "End the connection to a peer, and have none for a time"}
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for whoever lists the bans")
	cmd.Flags().DurationVar(&long, "for", 24*time.Hour, "how `long`, such as 90m or 48h")
	return a.onPeer(cmd, func(cmd *cobra.Command, c *client.Client, id string) (string, error) {
		if long < time.Second || long.Seconds() >= 1<<32 {
			return "", usageError("--for %s: it is from 1s to 1000000h", long)
		}
		ban, err := c.Ban(cmd.Context(), client.NewBan{ID: id, Reason: reason, Seconds: uint32(long.Seconds())})
		return "Banned until " + moment(ban.Until) + ".", err
	})
}

func (a *app) unbanCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "unban ID", Short: "Lift a ban"}
	return a.onPeer(cmd, func(cmd *cobra.Command, c *client.Client, id string) (string, error) {
		return "The ban is lifted.", c.Unban(cmd.Context(), id)
	})
}

func (a *app) bansCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bans", Short: "List the bans", Args: cobra.NoArgs}
	m := a.useMeans(cmd, meansNode, meansJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := m.client()
		if err != nil {
			return err
		}
		bans, err := c.Bans(cmd.Context())
		if err != nil {
			return m.asked(err)
		}
		if m.json {
			return a.printJSON(bans)
		}
		if len(bans) == 0 {
			m.say("Nobody is banned.")
			return nil
		}
		rows := []string{"PEER\tUNTIL\tREASON"}
		for _, b := range bans {
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s", printable(b.ID), moment(b.Until), printable(b.Reason)))
		}
		return table(a.stdout, rows...)
	}
	return cmd
}

// moment writes a time in Unix seconds.
func moment(unix int64) string { return time.Unix(unix, 0).Format("2006-01-02 15:04") }
