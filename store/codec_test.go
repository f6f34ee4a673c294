package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cairn/accounts"
	"cairn/types"
)

// ascending is the hex of n bytes that count up from first.
func ascending(first byte, n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "%02x", first+byte(i))
	}
	return s.String()
}

// TestGolden fixes the bytes of every record: a change of any is a new format.
func TestGolden(t *testing.T) {
	s := memoryStore(t)
	commit(t, s, putSamples)
	transfer := "02000000" + "03616e6e" + "03626f62" + "0300000000000000" + "0100000000000000" +
		"07000000" + "0900000000000000" + "03746561" + "01" + strings.Repeat("00", 62) + "02"
	loc := "0102030405060708"
	want := map[string]string{
		"73" + ascending(0x10, 32): ascending(0x10, 32) + ascending(0x40, 32) + ascending(1, 16) +
			"2100000000000000" + "2200000000000000" + "2300000000000000" + "2400000000000000" + "05",
		"62" + "01020304" + ascending(0x10, 32): hex.EncodeToString(sampleBlock().Encode()),
		"68" + "01020304" + ascending(0x10, 32): "00000020" + strings.Repeat("00", 72) + "07000000",
		"75" + "01020304" + ascending(0x10, 32): "02" + "03616e6e" + "ffffffffffffffff" + "0807060504030201" +
			"03626f62" + "0000000000000000" + "0500000000000000" + "01" + "03616e6e" + "1817161514131211" + loc,
		"63" + "01020304":        ascending(0x10, 32),
		"6d" + "02" + "01020304": ascending(0x60, 32),
		"72" + "01020304":        ascending(0x70, 32),
		// printf ann | sha256sum
		"61" + "49915e0d7d4b402e3017d010bc1c0e83cac6c797d6c16e66340fe3268693a6a1":              "f9f9fafbfcfdfeff" + "616e6e",
		"78" + "03616e6e" + "0102030405060708":                                                 loc,
		"74" + ascending(0x10, 32):                                                             loc + "090a0b0c",
		"6c" + "49915e0d7d4b402e3017d010bc1c0e83cac6c797d6c16e66340fe3268693a6a1" + "01020304": "01020304" + "ffffffff",
		"70" + "0102030405060708":                                                              "090a0b0c" + transfer,
		"6e" + hex.EncodeToString([]byte("http://127.0.0.1:5001")):                             "",
		hex.EncodeToString([]byte("kshop")):                                                    "02" + "0102030405060708" + ascending(0x30, 32),
		hex.EncodeToString([]byte("ggoal")):                                                    ascending(0x10, 32) + ascending(0x40, 32),
	}
	for r, err := range s.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		key := hex.EncodeToString(r.Key)
		value, sample := want[key]
		delete(want, key)
		if sample && hex.EncodeToString(r.Value) != value {
			t.Errorf("%s is stored as\n%x, not\n%s", r, r.Value, value)
		}
	}
	for key := range want {
		t.Errorf("nothing is stored under %s", key)
	}
}

func TestRecordErrors(t *testing.T) {
	state := appendState(nil, sampleState, Applied)
	mention := func(r Record) error { _, _, err := r.Mention(); return err }
	account := Record{Key: accountKey(nil, [32]byte{1})}
	for _, c := range []struct {
		name   string
		record Record
		decode func(Record) error
		want   string
	}{
		{"short", Record{bestKey(nil, 7), make([]byte, 31)}, decoder(Record.hash), "best chain's block 7 (key 6300000007): it ends too early"},
		{"long", Record{bestKey(nil, 7), make([]byte, 33)}, decoder(Record.hash), "1 bytes are left over"},
		{"other block's state", Record{stateKey(nil, hashOf(9)), state}, decoder(Record.State), "it is of block " + sampleHash.String()},
		{"no positions", Record{mentionKey(nil, [32]byte{}, 7), nil}, mention, "0 bytes are no list of positions"},
		{"half a position", Record{mentionKey(nil, [32]byte{}, 7), make([]byte, 6)}, mention, "6 bytes are no list of positions"},
		{"a position twice", Record{mentionKey(nil, [32]byte{}, 7), make([]byte, 8)}, mention, "position 0 comes after 0"},
		{"unknown status", Record{stateKey(nil, sampleHash), append(state[:len(state)-1:len(state)-1], 0x80)}, decoder(Record.State), "status 0x80"},
		{"empty state", Record{stateKey(nil, sampleHash), nil}, decoder(Record.State), "too early"},
		{"zero balance", Record{account.Key, appendAccount(nil, 0, "ann")}, decoder(Record.Account), "balance 0"},
		{"huge balance", Record{account.Key, appendAccount(nil, types.MaxAmount+1, "ann")}, decoder(Record.Account), "out of range"},
		{"huge debt", Record{account.Key, appendAccount(nil, -types.MaxAmount-1, "ann")}, decoder(Record.Account), "out of range"},
		{"no account", Record{account.Key, appendAccount(nil, 1, "")}, decoder(Record.Account), "1 to 255 bytes"},
		{"other account", Record{account.Key, appendAccount(nil, 1, "ann")}, decoder(Record.Account), `not that of its account "ann"`},
		{"account's key", Record{account.Key[:9], appendAccount(nil, 1, "ann")}, decoder(Record.leaf), "wrong length"},
		{"neighbour", Record{neighbourKey(nil, "http://a"), []byte{1}}, decoder(Record.Neighbour), `neighbour "http://a"`},
		{"undo count", Record{blockKey(nil, PrefixUndo, 5, sampleHash), []byte{0xfe, 0xff, 0xff, 0xff, 0xff}}, decoder(Record.Undo), "undo record of block 5"},
		{"undo count's form", Record{blockKey(nil, PrefixUndo, 5, sampleHash), []byte{0xfd, 1, 0}}, decoder(Record.Undo), "shortest form"},
		{"goal", Record{[]byte(goalKey), make([]byte, 33)}, Record.General, "no list of hashes"},
		{"node id", Record{[]byte(nodeKey), []byte(strings.Repeat("AB", 16))}, Record.General, "lower case"},
		{"peer without an ID", Record{[]byte{PrefixPeer}, appendPeer(nil, samplePeer)}, func(r Record) error { _, err := r.Peer(); return err }, "1 to 64 bytes"},
		{"short peer seed", Record{[]byte(peerSeed), make([]byte, 31)}, Record.General, "32 bytes"},
		{"short node id", Record{[]byte(nodeKey), []byte(strings.Repeat("ab", 15))}, Record.General, "lower case"},
		{"genesis", Record{[]byte(genesisKey), []byte("{")}, Record.General, `record "genesis"`},
		{"unknown", Record{[]byte("gx"), nil}, Record.General, `record "x"`},
		{"pending", Record{pendingKey(nil, 3), []byte{1, 2}}, decoder(Record.Pending), "pending transfer 3"},
		{"pending's transfer", Record{pendingKey(nil, 3), []byte{1, 2, 3, 4, 5}}, decoder(Record.Pending), "pending transfer 3"},
		{"header", Record{blockKey(nil, PrefixHeader, 5, sampleHash), make([]byte, 79)}, decoder(Record.Header), "header of block 5"},
		{"block", Record{blockKey(nil, PrefixBlock, 5, sampleHash), []byte{1}}, decoder(Record.Block), "body of block 5"},
	} {
		err := c.decode(c.record)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: error %v, want ErrDamaged with %q", c.name, err, c.want)
		}
	}
}

// decoder forgets what was decoded.
func decoder[T any](decode func(Record) (T, error)) func(Record) error {
	return func(r Record) error {
		_, err := decode(r)
		return err
	}
}

func TestRecordName(t *testing.T) {
	for key, want := range map[string]string{
		"":                                     "empty key",
		string(stateKey(nil, sampleHash)):      "state of block " + sampleHash.String(),
		string(historyKey(nil, 3, 9)):          "history node 9 of level 3",
		string(saltKey(nil, "ann", 4)):         `salt 4 of sender "ann"`,
		string(mentionKey(nil, [32]byte{}, 9)): "mention of account key " + strings.Repeat("00", 32) + " in block 9",
		string(saltKey(nil, "ann", 4)[:5]):     "unknown key 7803616e6e",
		"zz":                                   "unknown key 7a7a",
	} {
		if got := (Record{Key: []byte(key)}).String(); got != want {
			t.Errorf("%x is called %q, not %q", key, got, want)
		}
	}
}

// TestSamples reads every sample back through the typed reads.
func TestSamples(t *testing.T) {
	s := memoryStore(t)
	commit(t, s, putSamples)
	state, status, err := s.State(sampleHash)
	check(t, state, sampleState, err)
	check(t, status, HaveBody|Invalid, nil)
	block, err := s.Block(0x01020304, sampleHash)
	check(t, block, sampleBlock(), err)
	raw, err := s.BlockBytes(0x01020304, sampleHash)
	check(t, raw, sampleBlock().Encode(), err)
	header, err := s.Header(0x01020304, sampleHash)
	check(t, header, sampleBlock().Header, err)
	undo, err := s.Undo(0x01020304, sampleHash)
	check(t, undo, sampleUndo, err)
	best, err := s.BestHash(0x01020304)
	check(t, best, sampleHash, err)
	root, err := s.BalancesRoot(0x01020304)
	check(t, root, hashOf(0x70), err)
	sum, err := s.HistoryNode(sampleNode.Level, sampleNode.Index)
	check(t, sum, sampleNode.Sum, err)
	balance, err := s.Account("ann")
	check(t, balance, -0x01020304050607, err)
	loc, found, err := s.SaltLoc("ann", 0x0102030405060708)
	check(t, loc, sampleLoc, err)
	check(t, found, true, nil)
	record, found, err := s.TransferLoc(sampleHash)
	check(t, record, TransferRecord{sampleLoc, 0x0c0b0a09}, err)
	check(t, found, true, nil)
	mention, found, err := s.Mention(accounts.KeyOf("ann"), 0x01020304)
	check(t, mention, sampleMention, err)
	check(t, found, true, nil)
	neighbours, err := s.Neighbours()
	check(t, neighbours, []string{"http://127.0.0.1:5001"}, err)
	tokens, err := s.Tokens()
	check(t, tokens, []Token{sampleToken}, err)
	peers, err := s.Peers()
	check(t, peers, []PeerRecord{samplePeer}, err)
	goal, err := s.Goal()
	check(t, goal, []types.Hash{sampleHash, hashOf(0x40)}, err)
	for pending, err := range s.Pending() {
		check(t, pending, PendingRecord{0x0102030405060708, 0x0c0b0a09, sampleTransfer}, err)
	}
}

func check[T any](t *testing.T, got, want T, err error) {
	t.Helper()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, difference:\n%s", err, diff)
	}
}

func FuzzUndo(f *testing.F) {
	f.Add(appendUndo(nil, sampleUndo))
	f.Add(appendUndo(nil, Undo{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := decodeUndo(b)
		if err == nil && !bytes.Equal(appendUndo(nil, u), b) {
			t.Errorf("%x is encoded as %x", b, appendUndo(nil, u))
		}
	})
}

// FuzzRecord gives any key and value to every decoder. What decodes must encode
// to the same bytes.
func FuzzRecord(f *testing.F) {
	s := memoryStore(f)
	commit(f, s, putSamples)
	for r, err := range s.Records(0) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(r.Key), bytes.Clone(r.Value))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r := Record{key, value}
		_ = r.String()
		if len(key) == 0 {
			return
		}
		gotKey, gotValue, err := recode(r)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: error %v is not ErrDamaged", r, err)
		}
		if err == nil && (!bytes.Equal(gotKey, key) || !bytes.Equal(gotValue, value)) {
			t.Errorf("%x %x is encoded as %x %x", key, value, gotKey, gotValue)
		}
	})
}

// recode decodes a record and encodes the result.
func recode(r Record) (key, value []byte, err error) {
	switch r.Key[0] {
	case PrefixState:
		s, err := r.State()
		return stateKey(nil, s.Hash), appendState(nil, s.State, s.Status), err
	case PrefixBlock:
		height, hash, err := r.BlockName()
		if err != nil {
			return nil, nil, err
		}
		b, err := r.Block()
		if err != nil {
			return nil, nil, err
		}
		return blockKey(nil, PrefixBlock, height, hash), b.Encode(), nil
	case PrefixHeader:
		height, hash, err := r.BlockName()
		if err != nil {
			return nil, nil, err
		}
		h, err := r.Header()
		encoding := h.Encode()
		return blockKey(nil, PrefixHeader, height, hash), encoding[:], err
	case PrefixUndo:
		height, hash, err := r.BlockName()
		if err != nil {
			return nil, nil, err
		}
		u, err := r.Undo()
		return blockKey(nil, PrefixUndo, height, hash), appendUndo(nil, u), err
	case PrefixBest:
		height, hash, err := r.Best()
		return bestKey(nil, height), hash[:], err
	case PrefixRoot:
		height, root, err := r.Root()
		return rootKey(nil, height), root[:], err
	case PrefixHistory:
		n, err := r.HistoryNode()
		return historyKey(nil, n.Level, n.Index), n.Sum[:], err
	case PrefixAccount:
		a, err := r.Account()
		return r.Key, appendAccount(nil, a.Balance, a.Account), err
	case PrefixSalt:
		sender, salt, loc, err := r.Salt()
		return saltKey(nil, sender, salt), appendLoc(nil, loc), err
	case PrefixTransfer:
		id, t, err := r.Transfer()
		return transferKey(nil, id), appendTransferRecord(nil, t), err
	case PrefixMention:
		key, m, err := r.Mention()
		return mentionKey(nil, key, m.Height), appendPositions(nil, m.Positions), err
	case PrefixPending:
		p, err := r.Pending()
		return pendingKey(nil, p.Seq), appendPending(nil, p.Answered, &p.Transfer), err
	case PrefixNeighbour:
		url, err := r.Neighbour()
		return neighbourKey(nil, url), nil, err
	case PrefixToken:
		t, err := r.Token()
		return tokenKey(nil, t.Name), appendToken(nil, t), err
	case PrefixPeer:
		p, err := r.Peer()
		return peerKey(nil, p.ID), appendPeer(nil, p), err
	case PrefixGeneral:
		return r.Key, r.Value, r.General()
	}
	return r.Key, r.Value, nil
}
