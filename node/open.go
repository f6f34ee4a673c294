package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cairn/consensus"
	"cairn/store"
)

// ErrOtherNetwork says that a data directory holds another network than the one
// that was asked for.
var ErrOtherNetwork = errors.New("the data directory holds another network")

// DevNetwork is the name that stands for the built-in network where a genesis
// file is expected.
const DevNetwork = "dev"

// maxGenesis is the most bytes of a genesis file that are read: enough for the
// allocations of a million accounts.
const maxGenesis = 128 << 20

// LoadNetwork reads the genesis file that is named, or returns the built-in
// rules for DevNetwork.
func LoadNetwork(name string) (*consensus.Rules, error) {
	if name == DevNetwork {
		return consensus.Dev(), nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no genesis file %s: name a file, or %q for the network that is built in (`cairn genesis new` makes one)", name, DevNetwork)
	}
	if err != nil {
		return nil, fmt.Errorf("genesis file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxGenesis+1))
	if err != nil {
		return nil, fmt.Errorf("genesis file: %w", err)
	}
	if len(b) > maxGenesis {
		return nil, fmt.Errorf("genesis file %s: longer than %d bytes", name, maxGenesis)
	}
	rules, err := consensus.ParseGenesis(b)
	if err != nil {
		return nil, fmt.Errorf("genesis file %s: %w", name, err)
	}
	return rules, nil
}

// network returns the rules that a new directory gets.
func network(cfg *Config) (*consensus.Rules, error) {
	if cfg.Invite != nil {
		return consensus.ParseGenesis(cfg.Invite.Genesis)
	}
	if cfg.Network == "" {
		return consensus.Dev(), nil
	}
	return LoadNetwork(cfg.Network)
}

// DataDir returns the directory that cfg means.
func DataDir(cfg *Config) (string, error) {
	if cfg.Data != "" {
		return cfg.Data, nil
	}
	rules, err := network(cfg)
	if err != nil {
		return "", err
	}
	return DefaultData(rules.Name, cfg.Port)
}

// openStore opens the node's directory, or makes it when it holds nothing yet.
func openStore(cfg *Config, o store.Options) (*store.Store, error) {
	wanted, err := network(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Ephemeral {
		o.FS = vfs.NewMem()
		return store.Create("cairn", wanted, o)
	}
	dir, err := DataDir(cfg)
	if err != nil {
		return nil, err
	}
	name, held, err := store.Network(dir, o)
	switch {
	case err != nil || held == wanted.ChainID():
	case cfg.Invite != nil:
		return nil, fmt.Errorf("%w: %s holds %q (genesis block %s), and the invite is to %q (genesis block %s); name another directory with --data",
			ErrOtherNetwork, dir, name, held, wanted.Name, wanted.ChainID())
	case cfg.Network != "":
		return nil, fmt.Errorf("%w: %s holds %q (genesis block %s), and %s is %q (genesis block %s); name another directory with --data, or leave --network out",
			ErrOtherNetwork, dir, name, held, cfg.Network, wanted.Name, wanted.ChainID())
	}
	st, err := store.Open(dir, o)
	if errors.Is(err, store.ErrNoData) {
		return store.Create(dir, wanted, o)
	}
	return st, err
}
