package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"cairn/consensus"
	"cairn/node"
)

// nodeCommand is `cairn` without a further word.
func (a *app) nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cairn",
		Short: "Run a node of a Cairn network",
		Long: `Cairn runs a node of a blockchain network that is spoken to with five HTTP calls.

Without a further word it runs a node: on 127.0.0.1, port 5000, of the network
"dev" that is built in, with its data in your data directory. Every setting can
be a flag, a variable (CAIRN_PORT for --port) or a line of a TOML file
(port = 5000); a flag wins over a variable, a variable over the file.

Exit codes: 0 success; 1 it failed (cairn verify: the data is not sound);
2 wrong usage or settings, nothing was done (cairn verify: could not be checked).`,
		Example: `  cairn                                  # the first node
  cairn -p 5001                          # a second one beside it
  cairn -H 0.0.0.0 --open                # for everyone in the room
  cairn --network harbour.json --mine --reward-to ACCOUNT
  cairn join cairn-invite:…              # a node of somebody's network`,
	}
	s := a.useSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runNode(cmd.Context(), s, nil) }
	return cmd
}

// runNode runs a node until ctx ends, and watch, where there is one, beside it.
func (a *app) runNode(ctx context.Context, s *settings, watch func(context.Context, node.Info)) error {
	log, err := a.logger(s)
	if err != nil {
		return err
	}
	s.Log, s.Version = log, version()
	s.LimitMemory()
	n, err := node.New(s.Config)
	if err != nil {
		return err
	}
	info := n.Info()
	if isTerminal(a.stdout) {
		greet(a.stdout, info, s)
	} else {
		log.Info("Node is up", "url", info.URL, "version", s.Version, "network", info.Rules.Name,
			"chain", info.Rules.ChainID(), "height", info.Height, "data", info.Data, "reward_to", info.RewardTo, "token_file", info.TokenFile, "peers", info.Peers)
		if info.Token != "" && info.TokenFile == "" {
			log.Warn("An ephemeral node keeps its token nowhere else", "token", info.Token)
		}
	}
	if watch != nil {
		watching, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			watch(watching, info)
		}()
		defer func() { stop(); <-done }()
	}
	if err := n.Run(ctx); err != nil {
		return err
	}
	log.Info("Node has stopped")
	return nil
}

// logger writes to standard error, in colour for a person and as JSON for a
// program unless told otherwise.
func (a *app) logger(s *settings) (*slog.Logger, error) {
	var level slog.Level
	switch s.logLevel {
	case "debug", "info", "warn", "error":
		_ = level.UnmarshalText([]byte(s.logLevel)) // knows these four
	default:
		return nil, usageError("log-level %q: it is debug, info, warn or error", s.logLevel)
	}
	terminal := isTerminal(a.stderr)
	switch {
	case s.logFormat == "text" || s.logFormat == "auto" && terminal:
		return slog.New(tint.NewTextHandler(a.stderr, &tint.Options{Level: level, NoColor: !terminal})), nil
	case s.logFormat == "json" || s.logFormat == "auto":
		return slog.New(slog.NewJSONHandler(a.stderr, &slog.HandlerOptions{Level: level})), nil
	}
	return nil, usageError("log-format %q: it is text, json or auto", s.logFormat)
}

// greet tells a person what runs, where, and what to try next.
func greet(w io.Writer, info node.Info, s *settings) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-9s%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "Cairn %s runs a node of the network %q at %s\n", s.Version, info.Rules.Name, info.URL)
	line("chain", "%s, height %d", info.Rules.ChainID(), info.Height)
	if info.Data == "" {
		line("data", "in memory, forgotten at the end")
	} else {
		line("data", "%s", info.Data)
	}
	if info.RewardTo == "" {
		line("rewards", "nobody: it cannot mine without --reward-to ACCOUNT")
	} else {
		line("rewards", "%s", info.RewardTo)
	}
	if len(info.Peers) > 0 {
		line("peers", "at %s; `cairn invite` lets others join", reachable(info.Peers)[0])
	}
	switch {
	case info.TokenFile != "":
		line("token", "in %s; mine, register-node and sync-chain ask for it", info.TokenFile)
	case info.Token != "":
		line("token", "%s; mine, register-node and sync-chain ask for it", info.Token)
	case s.Open:
		line("access", "open: whoever reaches the node can mine, register neighbours and sync")
	}
	fmt.Fprintf(w, "Try:  %s\nStop: Ctrl-C\n\n", strings.Join(nextStep(info), "\n      "))
}

// reachable returns addresses with those of this machine alone at the end: the first
// is of most use to others.
func reachable(addresses []string) []string {
	local := func(address string) int {
		if strings.HasPrefix(address, "/ip4/127.") || strings.HasPrefix(address, "/ip6/::1/") {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(addresses), func(a, b string) int { return local(a) - local(b) })
}

// nextStep is what a newcomer could type into another terminal now.
func nextStep(info node.Info) []string {
	if info.Rules.ChainID() == consensus.Dev().ChainID() && info.Token == "" {
		return []string{
			fmt.Sprintf(`curl --json '{"sender": "addr1", "recipient": "addr2", "amount": 3}' %s/create-transaction`, info.URL),
			fmt.Sprintf(`curl %s/mine`, info.URL),
		}
	}
	return []string{fmt.Sprintf("curl %s/chain", info.URL), "cairn status " + info.URL}
}
