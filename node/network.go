package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/libp2p/go-libp2p/core/pnet"

	"cairn/consensus"
	"cairn/p2p"
	"cairn/syncer"
)

// openNetwork makes what keeps the node in step with others.
func (n *Node) openNetwork() error {
	cfg := &n.cfg
	syncing := syncer.Config{Chain: n.chain, Store: n.store, Log: cfg.Log}
	var err error
	if cfg.P2P == PeersOff || cfg.P2P == PeersAuto && n.store.Rules().ChainID() == consensus.Dev().ChainID() {
		n.syncer, err = syncer.New(syncing)
		return err
	}
	joined, err := n.join()
	if err != nil {
		return err
	}
	syncing.MinWork = joined.Work
	if n.syncer, err = syncer.New(syncing); err != nil {
		return err
	}
	key, err := LoadPeerKey(cfg.P2PKey)
	if err != nil {
		return err
	}
	listen, err := peerListeners(cfg)
	if err != nil {
		return err
	}
	n.peers, err = p2p.New(p2p.Config{
		Chain:    n.chain,
		Store:    n.store,
		Syncer:   n.syncer,
		Listen:   listen,
		Key:      key,
		Peers:    append(slices.Clone(cfg.Peers), joined.Peers...),
		MaxPeers: cfg.MaxPeers,
		Version:  cfg.Version,
		Log:      cfg.Log,
	})
	return err
}

// portsApart is how far the port for peers is above that for HTTP, by default.
const portsApart = 1000

// peerListeners returns the multiaddrs on which peers reach the node, once it is
// known that nobody listens there: libp2p is content with one of several, and shares
// a port with whoever lets it.
func peerListeners(cfg *Config) ([]string, error) {
	port := int(cfg.P2PPort)
	if port == 0 {
		port = int(cfg.Port) + portsApart
	}
	if port > 65535 {
		return nil, fmt.Errorf("there is no port %d, %d above the node's own: name one for peers with --p2p-port", port, portsApart)
	}
	number := strconv.Itoa(port)
	at := net.JoinHostPort(cfg.P2PHost, number)
	tcp, err := net.Listen("tcp", at)
	if err == nil {
		tcp.Close()
	}
	ip := "/ip4/"
	if net.ParseIP(cfg.P2PHost).To4() == nil {
		ip = "/ip6/"
	}
	addresses := []string{ip + cfg.P2PHost + "/tcp/" + number}
	if err == nil && cfg.P2PKey == "" {
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", at); err == nil {
			udp.Close()
		}
		addresses = append(addresses, ip+cfg.P2PHost+"/udp/"+number+"/quic-v1")
	}
	switch {
	case err == nil:
		return addresses, nil
	case busy(err):
		return nil, fmt.Errorf("the port for peers, %d, is %w, perhaps by another node; name another with --p2p-port, or do without peers: --p2p=off", port, ErrPortBusy)
	}
	return nil, fmt.Errorf("cannot listen for peers on %s: %w; name another address with --p2p-host, another port with --p2p-port", at, err)
}

// LoadPeerKey returns the key of a closed network that a file holds; nil where no
// file is named.
func LoadPeerKey(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--p2p-key: %w; `cairn p2p-key FILE` makes a new key", err)
	}
	defer f.Close()
	key, err := pnet.DecodeV1PSK(f)
	if err != nil {
		return nil, fmt.Errorf("--p2p-key %s is no key of a closed network (%w): copy the file of another node of the network, or make a new one with `cairn p2p-key`", file, err)
	}
	return key, nil
}

// JoinFile is the name of the file in the data directory with what the node
// remembers of the invite that it joined with.
const JoinFile = "join.json"

// joined is what the node remembers of an invite.
type joined struct {
	Work  consensus.Work // that the network's chain has at least
	Peers []string
}

type joinJSON struct {
	Work  string   `json:"work"` // decimal
	Peers []string `json:"peers"`
}

// join remembers the invite that there is now, or returns what is remembered of an
// earlier one.
func (n *Node) join() (joined, error) {
	path := filepath.Join(n.store.Dir(), JoinFile)
	if i := n.cfg.Invite; i != nil {
		j := joined{i.Work, i.Peers}
		if n.cfg.Ephemeral {
			return j, nil
		}
		return j, writeJoin(path, j)
	}
	if n.cfg.Ephemeral {
		return joined{}, nil
	}
	return readJoin(path)
}

// writeJoin replaces the file at once, so that it is never half an invite.
func writeJoin(path string, j joined) error {
	b, err := json.Marshal(joinJSON{j.Work.String(), j.Peers})
	if err != nil {
		return err
	}
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("remembering the invite: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return fmt.Errorf("remembering the invite: %w", errors.Join(err, os.Remove(next)))
	}
	return nil
}

func readJoin(path string) (joined, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return joined{}, nil
	}
	if err != nil {
		return joined{}, err
	}
	var j joinJSON
	work := new(big.Int)
	ok := json.Unmarshal(b, &j) == nil
	if ok {
		_, ok = work.SetString(j.Work, 10)
	}
	if !ok || work.Sign() < 0 || work.BitLen() > 256 {
		return joined{}, fmt.Errorf("%s is not what `cairn join` wrote: delete the file, or join again with an invite", path)
	}
	var little [32]byte
	work.FillBytes(little[:])
	slices.Reverse(little[:])
	return joined{consensus.WorkFromLittleEndian(little), j.Peers}, nil
}
