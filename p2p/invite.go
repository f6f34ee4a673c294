package p2p

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/gostream"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"cairn/consensus"
	"cairn/syncer"
	"cairn/types"
)

// Invite is what `cairn invite` prints and `cairn join` takes.
type Invite struct {
	ChainID types.Hash
	Genesis []byte         // the genesis file's JSON; nil: the peers have it
	Work    consensus.Work // of the inviter's chain: one with less is not the network's
	Peers   []string       // multiaddrs with /p2p/ID
}

// ErrInvite says that a text is not an invite; it says too what would be right.
var ErrInvite = errors.New("not an invite")

const (
	invitePrefix  = "cairn-invite:"
	inviteVersion = 1
	inviteSum     = 4 // bytes of SHA-256 at the end, against slips

	// MaxInvite is the most bytes of an invite's text that are read.
	MaxInvite = 16 << 10

	maxInvitePeers = 8
	maxPeerText    = 255
	maxPacked      = 1000     // bytes of a compressed genesis file that an invite still carries
	maxUnpacked    = 64 << 10 // and of the file itself
)

// inviteText writes bytes so that neither case nor line breaks matter.
var inviteText = base32.StdEncoding.WithPadding(base32.NoPadding)

// String returns the invite as text. A genesis file that would make it long, and
// peers after the eighth, are left out.
//
//	version u8 | chain ID 32 | work 32 | length u16 | genesis file, deflated
//	| count u8 | multiaddrs, each str | first bytes of the SHA-256 of all that 4
func (i Invite) String() string {
	work := i.Work.LittleEndian()
	b := append([]byte{inviteVersion}, i.ChainID[:]...)
	b = append(b, work[:]...)
	packed := pack(i.Genesis)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(packed)))
	b = append(b, packed...)
	var peers []string
	for _, p := range i.Peers {
		if len(p) <= maxPeerText && len(peers) < maxInvitePeers {
			peers = append(peers, p)
		}
	}
	b = append(b, byte(len(peers)))
	for _, p := range peers {
		b = append(append(b, byte(len(p))), p...)
	}
	sum := sha256.Sum256(b)
	return invitePrefix + strings.ToLower(inviteText.EncodeToString(append(b, sum[:inviteSum]...)))
}

// pack compresses a genesis file; nil where that is too long for an invite.
func pack(genesis []byte) []byte {
	if len(genesis) == 0 || len(genesis) > maxUnpacked {
		return nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = w.Write(genesis)
	}
	if err = errors.Join(err, w.Close()); err != nil { // a buffer takes all
		panic(err)
	}
	if b.Len() > maxPacked {
		return nil
	}
	return b.Bytes()
}

// ParseInvite reads what String wrote, in whatever case and with white space
// anywhere. The error is ErrInvite.
func ParseInvite(text string) (Invite, error) {
	if len(text) > MaxInvite {
		return Invite{}, inviteError("it is longer than %d bytes: copy only the invite", MaxInvite)
	}
	text = strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text))
	text, found := strings.CutPrefix(text, invitePrefix)
	if !found {
		return Invite{}, inviteError("an invite begins with %q: copy all of what `cairn invite` printed", invitePrefix)
	}
	b, err := inviteText.DecodeString(strings.ToUpper(text))
	end := len(b) - inviteSum
	if err != nil || end < 1 {
		return Invite{}, inviteError("it does not add up: copy it again")
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:inviteSum], b[end:]) {
		return Invite{}, inviteError("it does not add up: copy it again")
	}
	if b[0] != inviteVersion {
		return Invite{}, inviteError("it has the form %d, and this program knows %d: install the version of Cairn that made it", b[0], inviteVersion)
	}
	return decodeInvite(b[1:end])
}

func inviteError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvite, fmt.Sprintf(format, args...))
}

// decodeInvite reads what stands between version and sum.
func decodeInvite(b []byte) (i Invite, err error) {
	in := newInput("invite", b, MaxInvite)
	i.ChainID = in.hash()
	i.Work = consensus.WorkFromLittleEndian(in.hash())
	var packed []byte
	if length := in.take(2); length != nil {
		packed = in.take(int(binary.LittleEndian.Uint16(length)))
	}
	for range in.count(0, maxInvitePeers, 1) {
		text := string(in.str(0, maxPeerText))
		if _, err := peer.AddrInfoFromString(text); err != nil {
			in.fail("%q is no peer: %v", text, err)
			break
		}
		i.Peers = append(i.Peers, text)
	}
	if err := in.end(); err != nil {
		return Invite{}, inviteError("whoever made it made it wrong, ask for another (%v)", err)
	}
	if len(packed) == 0 {
		return i, nil
	}
	i.Genesis, err = unpack(packed, i.ChainID)
	return i, err
}

// unpack returns the genesis file in an invite, which must be that of the network.
func unpack(packed []byte, want types.Hash) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxUnpacked+1))
	if err == nil && len(b) > maxUnpacked {
		err = fmt.Errorf("it is longer than %d bytes", maxUnpacked)
	}
	var rules *consensus.Rules
	if err == nil {
		rules, err = consensus.ParseGenesis(b)
	}
	if err != nil {
		return nil, inviteError("the genesis file in it is faulty, ask for another (%v)", err)
	}
	if got := rules.ChainID(); got != want {
		return nil, inviteError("it promises the network of genesis block %v and holds the genesis file of %v: trust neither, and ask for another", want, got)
	}
	return b, nil
}

// askPatience is how long one peer may take to give the genesis file.
const askPatience = 15 * time.Second

// FetchGenesis asks the peers of an invite, one after the other, for the genesis
// file that it promises. key is that of a closed network; nil: it is an open one.
func FetchGenesis(ctx context.Context, invite Invite, key []byte) (*consensus.Rules, error) {
	options := []libp2p.Option{libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.Transport(tcp.NewTCPTransport)}
	if key != nil {
		options = append(options, libp2p.PrivateNetwork(key))
	} else {
		options = append(options, libp2p.Transport(quic.NewTransport))
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	var ids []peer.ID
	for _, address := range invite.Peers {
		info, err := parseAddress(address)
		if err != nil {
			return nil, err
		}
		h.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
		if !slices.Contains(ids, info.ID) {
			ids = append(ids, info.ID)
		}
	}
	err = errors.New("none is named")
	for _, id := range ids {
		rules, askErr := fetchGenesis(ctx, h, id, invite.ChainID)
		if askErr == nil {
			return rules, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		err = fmt.Errorf("%s: %w", id, askErr)
	}
	return nil, fmt.Errorf("no peer of the invite gave the genesis file: start one of them, or ask for another invite (the last was %w)", err)
}

func fetchGenesis(ctx context.Context, h host.Host, id peer.ID, want types.Hash) (*consensus.Rules, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	carrier := &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return gostream.Dial(ctx, h, id, httpProtocol)
	}}
	return syncer.FetchGenesis(ctx, carrier, "http://"+id.String(), want)
}
