package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cairn/node"
)

// settings are a node's configuration, how its log looks, and where a wallet is:
// everything that flags, CAIRN_… variables and the configuration file can say.
type settings struct {
	node.Config
	logLevel  string
	logFormat string

	// Of the commands about money; a node has no use for them.
	walletDir      string
	passphraseFile string
}

// notOfNodes are the settings that a node has no use for.
var notOfNodes = []string{"wallet", "passphrase-file"}

// newSettings returns the defaults and the flags that change them. What a
// setting means in full is said at node.Config.
func newSettings() (*settings, *pflag.FlagSet) {
	s := &settings{Config: node.Default(), logLevel: "info", logFormat: "auto"}
	f := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	f.StringVarP(&s.Host, "host", "H", s.Host, "`address` to listen on; 0.0.0.0 is every address of this machine")
	f.Uint16VarP(&s.Port, "port", "p", s.Port, "`port` to listen on")
	f.StringVar(&s.Data, "data", "", "the node's `directory` (default: cairn/NETWORK-PORT in your data directory)")
	f.StringVar(&s.Network, "network", "", "genesis `file` of the network, or dev (default: what the directory holds, else dev)")
	f.BoolVar(&s.Ephemeral, "ephemeral", false, "keep everything in memory and forget it at the end")
	f.BoolVar(&s.Mine, "mine", false, "search for blocks all the time, on one thread")
	f.StringVar(&s.RewardTo, "reward-to", "", "`account` that is paid for blocks mined here (default: the node's own, where accounts are names)")
	f.BoolVar(&s.Open, "open", false, "let anyone who reaches the node mine, register neighbours and sync, without a token")
	f.StringVar(&s.P2P, "p2p", s.P2P, "take part in the peer-to-peer network: on, =off, or =auto (on except on dev)")
	f.Lookup("p2p").NoOptDefVal = node.PeersOn
	f.StringVar(&s.P2PHost, "p2p-host", s.P2PHost, "IP `address` on which peers reach the node; 0.0.0.0 is every address of this machine")
	f.Uint16Var(&s.P2PPort, "p2p-port", 0, "`port` for peers, TCP and UDP; 0 is 1000 above --port")
	f.StringSliceVar(&s.Peers, "peer", nil, "`multiaddr` of a peer to stay connected to, like /ip4/192.168.1.7/tcp/6000/p2p/12D3KooW… (repeat for more)")
	f.StringVar(&s.P2PKey, "p2p-key", "", "`file` with the key of a closed network, which cairn p2p-key makes")
	f.IntVar(&s.MaxPeers, "max-peers", s.MaxPeers, "peers connected at once")
	f.StringSliceVar(&s.AllowHosts, "allow-host", nil, "further `name` under which the node may be addressed (repeat for more)")
	f.StringSliceVar(&s.AllowOrigins, "allow-origin", nil, "`origin` of a web page that may use the API, like https://shop.example (repeat for more)")
	f.IntVar(&s.RateLimit, "rate-limit", s.RateLimit, "requests a second from each address off this machine without a token; 0 is no limit")
	f.StringVar(&s.Wallet, "signing-wallet", "", "`directory` of a wallet that the node signs from, for whoever has its token")
	f.StringVar(&s.PassphraseFile, "signing-passphrase-file", "", "`file` with that wallet's passphrase on its first line")
	f.Int64Var(&s.MinFeeRate, "min-fee-rate", s.MinFeeRate, "least fee that is taken, in base units for 1,000 bytes; -1 is 1000 where transfers are signed, else 0")
	f.IntVar(&s.PerAccount, "per-account", s.PerAccount, "most transfers of one sender that wait; 0 is no limit, -1 is 1000 where transfers are signed, else no limit")
	f.IntVar(&s.MaxConnections, "max-connections", s.MaxConnections, "connections served at once")
	f.IntVar(&s.Pool.Transfers, "pool-transfers", s.Pool.Transfers, "most transfers that wait for a block")
	f.Var((*mebibytes)(&s.Pool.Bytes), "pool-size", "most memory for transfers that wait for a block, in `MiB`")
	f.Var((*mebibytes)(&s.CacheBytes), "cache-size", "memory for accounts and blocks that were read, in `MiB`")
	f.StringVar(&s.logLevel, "log-level", s.logLevel, "least severe `level` that is logged: debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", s.logFormat, "`form` of the log: text, json, or auto (text on a terminal, else json)")
	f.StringVar(&s.walletDir, "wallet", "", "the wallet's `directory` (default: cairn/wallet in your data directory)")
	f.StringVar(&s.passphraseFile, "passphrase-file", "", "`file` with the wallet's passphrase on its first line (default: it is asked for)")
	f.SortFlags = false
	return s, f
}

// completions are the values of settings that a shell can offer.
var completions = map[string]cobra.CompletionFunc{
	"data":       directories,
	"p2p":        cobra.FixedCompletions([]string{node.PeersAuto, node.PeersOn, node.PeersOff}, cobra.ShellCompDirectiveNoFileComp),
	"log-level":  cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp),
	"log-format": cobra.FixedCompletions([]string{"auto", "text", "json"}, cobra.ShellCompDirectiveNoFileComp),
}

func directories(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// mebibytes is a number of bytes whose text counts MiB.
type mebibytes int64

func (m *mebibytes) String() string { return strconv.FormatInt(int64(*m)>>20, 10) }
func (m *mebibytes) Type() string   { return "MiB" }
func (m *mebibytes) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return errors.New("not a whole number of MiB above 0")
	}
	*m = mebibytes(n << 20)
	return nil
}

// useSettings gives cmd the flags that names lists, all when it lists none, and
// before cmd runs fills in what its command line leaves open. Commands share the
// settings, since only one of them runs.
func (a *app) useSettings(cmd *cobra.Command, names ...string) *settings {
	if a.settings == nil {
		a.settings, a.flags = newSettings()
	}
	a.flags.VisitAll(func(f *pflag.Flag) {
		if len(names) == 0 && !slices.Contains(notOfNodes, f.Name) || slices.Contains(names, f.Name) {
			own := *f // whose usage the command may say in its own way
			cmd.Flags().AddFlag(&own)
			if complete := completions[f.Name]; complete != nil {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails for flags that are not there
			}
		}
	})
	cmd.Flags().SortFlags = false
	file := cmd.Flags().String("config", "", "TOML `file` with settings (default: cairn/cairn.toml in your configuration directory, if it exists)")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if err := a.bind(a.flags, cmd.Flags().Changed, *file); err != nil {
			return &codeError{exitUsage, err}
		}
		return nil
	}
	return a.settings
}

// bind gives each setting that was not given on the command line its value from the
// environment, else from the file. The setting log-level is CAIRN_LOG_LEVEL
// there and log-level here; a key of the file that is no setting is an error.
func (a *app) bind(all *pflag.FlagSet, given func(name string) bool, file string) error {
	values, file, err := a.readSettings(file)
	if err != nil {
		return err
	}
	for key := range values {
		if all.Lookup(key) == nil {
			return fmt.Errorf("%s: there is no setting %q%s", file, key, didYouMean(key, flagNames(all), ""))
		}
	}
	all.VisitAll(func(f *pflag.Flag) {
		source, value, ok := envName(f.Name), "", false
		if value, ok = a.env(source); !ok {
			source = file + ": " + f.Name
			value, ok = values[f.Name]
		}
		if !ok || given(f.Name) || err != nil {
			return
		}
		if e := all.Set(f.Name, value); e != nil {
			err = fmt.Errorf("%s = %q: %w", source, value, errors.Unwrap(e))
		}
	})
	return err
}

func envName(setting string) string {
	return "CAIRN_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// readSettings returns the text of every value in the configuration file, and
// the file's name. Only the default file may be missing.
func (a *app) readSettings(file string) (map[string]string, string, error) {
	if file == "" {
		file, _ = a.env(envName("config"))
	}
	named := file != ""
	if !named {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, "", nil // no home, so no file in it
		}
		file = filepath.Join(dir, "cairn", "cairn.toml")
	}
	var tree map[string]any
	if _, err := toml.DecodeFile(file, &tree); err != nil {
		if errors.Is(err, fs.ErrNotExist) && !named {
			return nil, "", nil
		}
		return nil, "", fmt.Errorf("configuration file %s: %w", file, err)
	}
	values := make(map[string]string)
	flatten(values, "", tree)
	return values, file, nil
}

// flatten writes tree's values under their dotted keys, a list with commas.
func flatten(values map[string]string, prefix string, tree map[string]any) {
	for key, value := range tree {
		switch v := value.(type) {
		case map[string]any:
			flatten(values, prefix+key+".", v)
		case []any:
			items := make([]string, len(v))
			for i := range v {
				items[i] = fmt.Sprint(v[i])
			}
			values[prefix+key] = strings.Join(items, ",")
		default:
			values[prefix+key] = fmt.Sprint(v)
		}
	}
}
