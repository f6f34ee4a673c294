package p2p

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"cairn/consensus"
	"cairn/types"
)

// A network whose blocks have at most 10,000 bytes, 101 transfers at most.
const testBlockSize = 10_000

type nodes []node

func (n nodes) append(b []byte) []byte { return appendAddresses(b, n) }

func asNodes(n []node, err error) (encoder, error) { return nodes(n), err }

func unhex(pieces ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(pieces, ""), " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

const (
	hexHeader = "01000000" + // version
		"1111111111111111111111111111111111111111111111111111111111111111" + // previous
		"2222222222222222222222222222222222222222222222222222222222222222" + // Merkle root
		"33000000" + "44000000" + "55000000" // time, bits, nonce
	hexReward = "01000000" + "01" + "0000000000000000000000000000000000000000000000000000000000000000" + "ffffffff" +
		"07" + "04" + "09000000" + "aabb" + "ffffffff" + // height 9, the miner's own
		"02" + "0500000000000000" + "03616e6e" + // 5 for ann
		"0000000000000000" + "22" + "6a20" + "6666666666666666666666666666666666666666666666666666666666666666" +
		"00000000"
	hexSignature = "7777777777777777777777777777777777777777777777777777777777777777" +
		"7777777777777777777777777777777777777777777777777777777777777777"
	hexTransfer = "02000000" + "03616e6e" + "03626f62" + // from ann to bob
		"0500000000000000" + "0100000000000000" + "0a000000" + "0700000000000000" + "026869" + hexSignature
	hexEmpty = "02000000" + "00" + "00" +
		"0000000000000000" + "0000000000000000" + "00000000" + "0000000000000000" + "00" +
		"0000000000000000000000000000000000000000000000000000000000000000" +
		"0000000000000000000000000000000000000000000000000000000000000000"
	hexHash = "8888888888888888888888888888888888888888888888888888888888888888"
	hexKey  = "000102030405060708090a0b0c0d0e0f"
)

func repeat[T any](b byte) (v T) {
	p := reflect.ValueOf(&v).Elem()
	for i := range p.Len() {
		p.Index(i).SetUint(uint64(b))
	}
	return v
}

func someTransfer() types.Transfer {
	return types.Transfer{
		Sender: "ann", Recipient: "bob", Amount: 5, Fee: 1, Expiry: 10, Salt: 7, Memo: "hi",
		Signature: repeat[[64]byte](0x77),
	}
}

type encoder interface{ append(b []byte) []byte }

// form is a form of message, with one value and its bytes.
type form struct {
	name   string
	golden []string
	value  encoder
	decode func([]byte) (encoder, error)
	wrong  [][]string // none of which is a message, each for one reason of its own
}

func forms() []form {
	return []form{{
		name: "hello",
		golden: []string{
			hexHash, "06 68612d72302d", "0a 636169726e2f312e3220", "04030201",
			"0100000000000000000000000000000000000000000000000000000000000080",
		},
		value: hello{
			chain: repeat[types.Hash](0x88), name: "ha-r0-", agent: "cairn/1.2 ", height: 0x01020304,
			work: consensus.Work{1, 0, 0, 1 << 63},
		},
		decode: func(b []byte) (encoder, error) { return decodeHello(b) },
		wrong: [][]string{
			{hexHash, "00", "01 61", "00000000", hexHash},                                                               // no name
			{hexHash, "21", strings.Repeat("61", 33), "01 61", "00000000", hexHash},                                     // a long name
			{hexHash, "01 41", "01 61", "00000000", hexHash},                                                            // A
			{hexHash, "03 612061", "01 61", "00000000", hexHash},                                                        // a space inside
			{hexHash, "01 5f", "01 61", "00000000", hexHash},                                                            // _
			{hexHash, "02 c3a4", "01 61", "00000000", hexHash},                                                          // ä
			{hexHash, "01 61", "41", strings.Repeat("61", 65), "00000000", hexHash},                                     // a long agent
			{hexHash, "01 61", "01 1f", "00000000", hexHash},                                                            // a control character
			{hexHash, "01 61", "01 7f", "00000000", hexHash},                                                            // another
			{hexHash, "01 61", "02 c3a4", "00000000", hexHash},                                                          // ä
			{hexHash, "01 61", "01 ff", "00000000", hexHash},                                                            // no UTF-8
			{hexHash, "01 61", "ff", strings.Repeat("61", 255), "00000000", hexHash},                                    // over 256 bytes
			{hexHash, "20", strings.Repeat("61", 32), "40", strings.Repeat("61", 64), "00000000", hexHash, hexHash[:2]}, // after the longest
		},
	}, {
		name:   "announcement",
		golden: []string{hexHeader, hexReward, "02", "0807060504030201", "ffffffffffffffff"},
		value: announcement{
			header: types.Header{
				Version: 1, Previous: repeat[types.Hash](0x11), MerkleRoot: repeat[types.Hash](0x22),
				Time: 0x33, Bits: 0x44, Nonce: 0x55,
			},
			reward: types.Reward{Height: 9, Extra: []byte{0xaa, 0xbb}, Amount: 5, Recipient: "ann", Commitment: repeat[[32]byte](0x66)},
			short:  []uint64{0x0102030405060708, 1<<64 - 1},
		},
		decode: func(b []byte) (encoder, error) { return decodeAnnouncement(b, testBlockSize) },
		wrong: [][]string{
			{hexHeader, "02", hexReward[2:], "00"},                                   // a transfer's version
			{hexHeader, hexReward, "fd 0100", "0807060504030201"},                    // a count of 3 bytes for 1
			{hexHeader, hexReward, "fe 01000000", "0807060504030201"},                // of 5
			{hexHeader, hexReward, "ff 0100000000000000", "0807060504030201"},        // of 9
			{hexHeader, hexReward, "66", strings.Repeat("0807060504030201", 102)},    // more than fit into a block
			{hexHeader, hexReward, "65", strings.Repeat("0807060504030201", 100)},    // one short
			{hexHeader, hexReward, "fd fd00", strings.Repeat("080706050403020", 16)}, // a large count
			{hexHeader, hexReward, "fe ffffffff"},
			{hexHeader, hexReward, "ff ffffffffffffffff"},
		},
	}, {
		name:   "wants",
		golden: []string{hexHash, "04", "00", "00", "03", "5e"},
		value:  wants{block: repeat[types.Hash](0x88), positions: []uint32{0, 1, 5, 100}},
		decode: func(b []byte) (encoder, error) { return decodeWants(b, testBlockSize) },
		wrong: [][]string{
			{hexHash, "00"},                            // nothing
			{hexHash, "01", "65"},                      // 101 of 0 to 100
			{hexHash, "02", "64", "00"},                // the same, as a gap
			{hexHash, "03", "64", "00", "00"},          // and two more
			{hexHash, "01", "fd 6400"},                 // a gap not in its shortest form
			{hexHash, "fd 0100", "00"},                 // a count not in its shortest form
			{hexHash, "66", strings.Repeat("00", 102)}, // 102
			{hexHash, "01", "fe ffffffff"},
			{hexHash, "01", "ff ffffffffffffffff"},
			{hexHash, "02", "00", "ff ffffffffffffffff"},
			{hexHash, "fe ffffffff"},
			{hexHash, "ff ffffffffffffffff"},
		},
	}, {
		name:   "answer to wants",
		golden: []string{"01", "02", hexTransfer, hexEmpty},
		value:  transfersAnswer{found: true, transfers: []types.Transfer{someTransfer(), {}}},
		decode: func(b []byte) (encoder, error) { return decodeTransfersAnswer(b, testBlockSize) },
		wrong: [][]string{
			{"00", "00"},                   // something after not found
			{"00", "01", hexTransfer},      // the same
			{"02", "01", hexTransfer},      // another status
			{"fd 0100", "01", hexTransfer}, // a status as a long count
			{"01", "00"},                   // nothing, for at least one
			{"01", "fd 0100", hexTransfer},
			{"01", "01", hexReward},
			{"01", "64", strings.Repeat(hexTransfer, 100)}, // 10,702 bytes
			{"01", "66", strings.Repeat(hexEmpty, 100)},
			{"01", "fe ffffffff"},
			{"01", "ff ffffffffffffffff", hexTransfer},
		},
	}, {
		name:   "not found",
		golden: []string{"00"},
		value:  transfersAnswer{},
		decode: func(b []byte) (encoder, error) { return decodeTransfersAnswer(b, testBlockSize) },
	}, {
		name:   "batch",
		golden: []string{"02", hexEmpty, hexTransfer},
		value:  batch{{}, someTransfer()},
		decode: func(b []byte) (encoder, error) { return decodeBatch(b) },
		wrong: [][]string{
			{"00"},                                 // nothing
			{"81", strings.Repeat(hexEmpty, 129)},  // 129
			{"fd 0100", hexTransfer},               // a count not in its shortest form
			{"01", "01", hexTransfer[2:]},          // a reward's version
			{"01", hexTransfer, hexTransfer},       // one not counted
			{"50", strings.Repeat(hexLarge(), 80)}, // 80 of 864 bytes
			{"fe ffffffff"},
			{"ff ffffffffffffffff"},
		},
	}, {
		name:   "summary",
		golden: []string{hexKey, "03", "0500000000000000", "ff00000000000000", "0001000000000000"},
		value:  summary{key: shortKey(unhex(hexKey)), short: []uint64{5, 0xff, 0x100}},
		decode: func(b []byte) (encoder, error) { return decodeSummary(b) },
		wrong: [][]string{
			{hexKey, "02", "0500000000000000", "0500000000000000"}, // one twice
			{hexKey, "02", "0001000000000000", "ff00000000000000"}, // falling
			{hexKey, "fd 0100", "0500000000000000"},
			{hexKey, "fd 214e", hexRising(20_001)}, // more than 20,000
			{hexKey, "fd 204e", hexRising(19_999)}, // one short
			{hexKey, "fe ffffffff"},
			{hexKey, "ff ffffffffffffffff"},
		},
	}, {
		name:   "answer to a summary",
		golden: []string{"02", hexEmpty, hexTransfer},
		value:  summaryAnswer{{}, someTransfer()},
		decode: func(b []byte) (encoder, error) { return decodeSummaryAnswer(b) },
		wrong: [][]string{
			{"fd 0100", hexTransfer},
			{"01", "01", hexTransfer[2:]},
			{"fd 8913", strings.Repeat(hexEmpty, 5001)},   // 5,001
			{"fd 7c09", strings.Repeat(hexLarge(), 2428)}, // 2 MiB and 563 bytes
			{"fe ffffffff"},
			{"ff ffffffffffffffff"},
		},
	}, {
		name:   "addresses",
		golden: []string{"02", "03 010203", "02", "01 04", "02 0506", "01 07", "01", "01 08"},
		value:  nodes{{"\x01\x02\x03", []string{"\x04", "\x05\x06"}}, {"\x07", []string{"\x08"}}},
		decode: func(b []byte) (encoder, error) { return asNodes(decodeAddresses(b)) },
		wrong: [][]string{
			{"01", "00", "01", "01 04"},                           // no ID
			{"01", "41", strings.Repeat("01", 65), "01", "01 04"}, // a long ID
			{"01", "01 01", "00"},                                 // no address
			{"01", "01 01", "09", strings.Repeat("01 04", 9)},     // nine
			{"01", "01 01", "01", "00"},                           // an empty one
			{"01", "01 01", "fd 0100", "01 04"},                   // their number as a long count
			{"fd 0100", "01 01", "01", "01 04"},                   // the peers' too
			{"21", strings.Repeat("01 01 01 01 04", 33)},          // 33 peers
			{"20"},                // 32 in no bytes
			{"01", "01 01", "08"}, // 8 in no bytes
			{"01", "01 01", "01", "ff", strings.Repeat("00", 254)}, // an address that ends early
			{"fe ffffffff"},
			{"ff ffffffffffffffff"},
		},
	}}
}

// hexLarge is a transfer of 864 bytes, the most.
func hexLarge() string {
	s := "ff" + strings.Repeat("61", 255)
	return "02000000" + s + s + strings.Repeat("00", 28) + s + hexSignature
}

func hexRising(n int) string {
	s := summary{}
	for i := range n {
		s.short = append(s.short, uint64(i))
	}
	return hex.EncodeToString(s.append(nil)[16+3:])
}

func TestWire(t *testing.T) {
	for _, m := range forms() {
		t.Run(m.name, func(t *testing.T) {
			good := unhex(m.golden...)
			if got := m.value.append([]byte{7}); got[0] != 7 || !bytes.Equal(got[1:], good) {
				t.Errorf("encodes to\n%x, want\n%x", got[1:], good)
			}
			if v, err := m.decode(good); err != nil || !reflect.DeepEqual(v, m.value) {
				t.Errorf("decodes to %+v, %v", v, err)
			}
			for n := range good {
				if _, err := m.decode(good[:n]); !errors.Is(err, errFormat) {
					t.Errorf("the first %d of %d bytes: %v", n, len(good), err)
				}
			}
			for _, more := range [][]byte{{0}, {0xff}, good} {
				if _, err := m.decode(append(bytes.Clone(good), more...)); !errors.Is(err, errFormat) {
					t.Errorf("with trailing %x: %v", more, err)
				}
			}
			for i, wrong := range m.wrong {
				if v, err := m.decode(unhex(wrong...)); !errors.Is(err, errFormat) {
					t.Errorf("wrong %d: %+v, %v", i, v, err)
				}
			}
			for bit := range 8 * len(good) {
				changed := bytes.Clone(good)
				changed[bit/8] ^= 1 << (bit % 8)
				v, err := m.decode(changed)
				if err != nil && !errors.Is(err, errFormat) || err == nil && !bytes.Equal(v.append(nil), changed) {
					t.Errorf("bit %d of byte %d changed: %+v, %v", bit%8, bit/8, v, err)
				}
			}
		})
	}
}

// What is as large as it may be is read, and the sizes for frames have room for it.
func TestWireLargest(t *testing.T) {
	most := maxTransfers(testBlockSize)
	positions := make([]uint32, most)
	for i := range positions {
		positions[i] = uint32(i)
	}
	lone := wants{positions: []uint32{uint32(maxTransfers(32_000_000) - 1)}}
	miner := types.Reward{Extra: make([]byte, types.MaxExtra)}
	miner.Recipient = types.Account(make([]byte, types.MaxRewardSize-miner.Size()))
	peers := make(nodes, maxNodes)
	for i := range peers {
		peers[i] = node{strings.Repeat("i", 64), slices.Repeat([]string{strings.Repeat("a", 255)}, 8)}
	}
	short := make([]uint64, maxSummary)
	for i := range short {
		short[i] = uint64(i)
	}
	for _, c := range []struct {
		name   string
		value  encoder
		most   int
		decode func([]byte) (encoder, error)
	}{
		{"hello", hello{name: strings.Repeat("z", 32), agent: strings.Repeat("~", 64)}, maxHelloSize,
			func(b []byte) (encoder, error) { return decodeHello(b) }},
		{"announcement", announcement{reward: miner, short: make([]uint64, most)}, maxAnnouncementSize(testBlockSize),
			func(b []byte) (encoder, error) { return decodeAnnouncement(b, testBlockSize) }},
		{"wants", wants{positions: positions}, maxWantsSize(testBlockSize),
			func(b []byte) (encoder, error) { return decodeWants(b, testBlockSize) }},
		{"wants of the last", lone, maxWantsSize(32_000_000),
			func(b []byte) (encoder, error) { return decodeWants(b, 32_000_000) }},
		{"answer to wants", transfersAnswer{true, make([]types.Transfer, most-1)}, testBlockSize,
			func(b []byte) (encoder, error) { return decodeTransfersAnswer(b, testBlockSize) }},
		{"batch", make(batch, maxBatch), maxBatchSize,
			func(b []byte) (encoder, error) { return decodeBatch(b) }},
		{"summary", summary{short: short}, maxSummarySize,
			func(b []byte) (encoder, error) { return decodeSummary(b) }},
		{"answer to a summary", make(summaryAnswer, maxSummaryAnswer), maxSummaryAnswerSize,
			func(b []byte) (encoder, error) { return decodeSummaryAnswer(b) }},
		{"addresses", peers, maxAddressesSize,
			func(b []byte) (encoder, error) { return asNodes(decodeAddresses(b)) }},
	} {
		b := c.value.append(nil)
		v, err := c.decode(b)
		if err != nil || !bytes.Equal(v.append(nil), b) || len(b) > c.most {
			t.Errorf("%s: %d bytes of %d: %v", c.name, len(b), c.most, err)
		}
	}
}

// allocated returns the bytes that f allocates, whatever else goes on.
func allocated(f func()) uint64 {
	least := ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// Memory follows what is there, not what a count promises.
func TestWireAllocationsAreBounded(t *testing.T) {
	for _, m := range forms() {
		for i, wrong := range m.wrong {
			b := unhex(wrong...)
			if n := allocated(func() { m.decode(b) }); n > uint64(2*len(b)+10_000) {
				t.Errorf("%s, wrong %d: %d bytes allocated for %d", m.name, i, n, len(b))
			}
		}
	}
}

// What is decoded is its own: the input may be used again.
func TestWireKeepsNothingOfItsInput(t *testing.T) {
	for _, m := range forms() {
		b := unhex(m.golden...)
		v, err := m.decode(b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if !reflect.DeepEqual(v, m.value) {
			t.Errorf("the %s changed with its input", m.name)
		}
	}
}

// writes counts the calls of Write.
type writes struct {
	bytes.Buffer
	n int
}

func (w *writes) Write(p []byte) (int, error) { w.n++; return w.Buffer.Write(p) }

func TestWireFrame(t *testing.T) {
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 10*firstRead + 7} {
		payload := bytes.Repeat([]byte("0123456789a"), size/11+1)[:size]
		var w writes
		if err := writeFrame(&w, payload); err != nil || w.n != 1 || w.Len() != 4+size {
			t.Fatalf("%d bytes are written as %d, in %d calls: %v", size, w.Len(), w.n, err)
		}
		frame := bytes.Clone(w.Bytes())
		w.WriteString("next")
		if got, err := readFrame(iotest.HalfReader(&w), size); err != nil || !bytes.Equal(got, payload) || w.String() != "next" {
			t.Errorf("%d bytes are read as %d, %q left: %v", size, len(got), w.String(), err)
		}
		if size == 0 {
			continue
		}
		if _, err := readFrame(bytes.NewReader(frame), size-1); !errors.Is(err, errFormat) {
			t.Errorf("%d bytes, more than there may be: %v", size, err)
		}
		for _, n := range []int{1, 3, 4, 4 + size/2, 4 + size - 1} {
			if _, err := readFrame(bytes.NewReader(frame[:n]), size); !errors.Is(err, errFormat) {
				t.Errorf("%d bytes, cut after %d: %v", size, n, err)
			}
		}
	}
	var w writes
	if err := writeFrame(&w, []byte("abc")); err != nil || w.String() != "\x03\x00\x00\x00abc" {
		t.Errorf("abc is framed as %q: %v", w.String(), err)
	}
	if _, err := readFrame(strings.NewReader(""), 10); err != io.EOF {
		t.Errorf("a stream that ends: %v", err)
	}
	broken := errors.New("broken")
	for _, before := range []string{"", "\x05", "\x05\x00\x00\x00", "\x05\x00\x00\x00abc"} {
		r := io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken))
		if _, err := readFrame(r, 10); err != broken {
			t.Errorf("a stream that breaks after %q: %v", before, err)
		}
	}
}

// Who promises much and sends little costs little.
func TestWireFrameMemory(t *testing.T) {
	for _, sent := range []int{0, 1, 1000, 100_000} {
		b := append(unhex("00000002"), make([]byte, sent)...) // 32 MiB
		if n := allocated(func() { readFrame(bytes.NewReader(b), 1<<30) }); n > uint64(6*sent+4*firstRead) {
			t.Errorf("%d bytes allocated for %d", n, sent)
		}
	}
	if n := allocated(func() { readFrame(strings.NewReader("\xff\xff\xff\xff"), 32_000_000) }); n > 10_000 {
		t.Errorf("%d bytes allocated for a frame that is too long", n)
	}
}

// What a decoder accepts, the encoder turns back into the same bytes.
func fuzzForm(f *testing.F, names ...string) {
	var decode func([]byte) (encoder, error)
	for _, m := range forms() {
		if slices.Contains(names, m.name) {
			decode = m.decode
			f.Add(unhex(m.golden...))
			for _, wrong := range m.wrong {
				if b := unhex(wrong...); len(b) < 1000 {
					f.Add(b)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err != nil && !errors.Is(err, errFormat) {
			t.Errorf("error %v, want errFormat", err)
		}
		if err == nil && !bytes.Equal(v.append(nil), b) {
			t.Errorf("%x encodes to %x", b, v.append(nil))
		}
	})
}

func FuzzHello(f *testing.F)           { fuzzForm(f, "hello") }
func FuzzAnnouncement(f *testing.F)    { fuzzForm(f, "announcement") }
func FuzzWants(f *testing.F)           { fuzzForm(f, "wants") }
func FuzzTransfersAnswer(f *testing.F) { fuzzForm(f, "answer to wants", "not found") }
func FuzzBatch(f *testing.F)           { fuzzForm(f, "batch") }
func FuzzSummary(f *testing.F)         { fuzzForm(f, "summary") }
func FuzzSummaryAnswer(f *testing.F)   { fuzzForm(f, "answer to a summary") }
func FuzzAddresses(f *testing.F)       { fuzzForm(f, "addresses") }

func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x03\x00\x00\x00abc"))
	f.Add([]byte("\x00\x00\x00\x00after"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		payload, err := readFrame(r, 100_000)
		if err != nil {
			if !errors.Is(err, errFormat) && !(err == io.EOF && len(b) == 0) {
				t.Errorf("error %v, want errFormat", err)
			}
			return
		}
		var again bytes.Buffer
		if err := writeFrame(&again, payload); err != nil || !bytes.Equal(again.Bytes(), b[:len(b)-r.Len()]) {
			t.Errorf("%x is written as %x: %v", b, again.Bytes(), err)
		}
	})
}
