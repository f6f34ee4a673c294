package consensus

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cairn/types"

	oracle "github.com/hdevalence/ed25519consensus"
	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// hexBytes is read from JSON as hex.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func (b hexBytes) String() string { return hex.EncodeToString(b) }

// triple is a signature as the curve sees it, in some vectors with the answer.
type triple struct {
	Comment    string   `json:"comment"`
	Key        hexBytes `json:"public_key"`
	Message    hexBytes `json:"message"`
	Signature  hexBytes `json:"signature"`
	Valid      bool     `json:"valid"`
	unanswered bool
}

// checkTriples compares the answers, alone and in one batch, with the vectors' and with
// the oracle's.
func checkTriples(t *testing.T, triples []triple) {
	t.Helper()
	together := newBatch(len(triples))
	allValid := oracle.NewBatchVerifier()
	for i, c := range triples {
		want := oracle.Verify(ed25519.PublicKey(c.Key), c.Message, c.Signature)
		if !c.unanswered && want != c.Valid {
			t.Errorf("%d %s: the oracle says %t", i, c.Comment, want)
		}
		if got := alone(c); got != want {
			t.Errorf("%d %s: alone, valid is %t, not %t: %v", i, c.Comment, got, want, c)
		}
		triples[i].Valid = want
		together.add(i, c.Key, c.Message, c.Signature)
		allValid.Add(ed25519.PublicKey(c.Key), c.Message, c.Signature)
	}
	got := answers(together, len(triples))
	all := true
	for i, c := range triples {
		if got[i] != c.Valid {
			t.Errorf("%d %s: in a batch, valid is %t, not %t: %v", i, c.Comment, got[i], c.Valid, c)
		}
		all = all && c.Valid
	}
	if len(triples) > 0 && allValid.Verify() != all {
		t.Errorf("the oracle's batch is %t, its single answers say %t", !all, all)
	}
}

func alone(c triple) bool {
	b := newBatch(1)
	b.add(0, c.Key, c.Message, c.Signature)
	return answers(b, 1)[0]
}

func answers(b *batch, n int) []bool {
	valid := make([]bool, n)
	for i := range valid {
		valid[i] = true
	}
	b.verify(func(i int) bool {
		valid[i] = false
		return true
	})
	return valid
}

// onlyValid leaves out what the oracle refuses, so that the whole batch passes
// at once and none is looked at by itself.
func onlyValid(triples []triple) (valid []triple) {
	for _, c := range triples {
		if oracle.Verify(ed25519.PublicKey(c.Key), c.Message, c.Signature) {
			valid = append(valid, c)
		}
	}
	return valid
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// outside returns the path of an outside vector file, or skips the test.
func outside(t *testing.T, name string) string {
	dir := os.Getenv("CAIRN_VECTORS")
	if dir == "" {
		t.Skip("CAIRN_VECTORS is not set")
	}
	return filepath.Join(dir, name)
}

func TestSignatureVectors(t *testing.T) {
	var triples []triple
	readJSON(t, "testdata/signatures.json", &triples)
	checkTriples(t, triples)
	checkTriples(t, onlyValid(triples))
}

func TestSpeccheckVectors(t *testing.T) {
	var cases []struct {
		Message   hexBytes `json:"message"`
		Key       hexBytes `json:"pub_key"`
		Signature hexBytes `json:"signature"`
	}
	readJSON(t, outside(t, "ed25519-speccheck.json"), &cases)
	const want = "VVVVVVXXXVVV"
	if len(cases) != len(want) {
		t.Fatalf("%d cases", len(cases))
	}
	var triples []triple
	for i, c := range cases {
		triples = append(triples, triple{"speccheck", c.Key, c.Message, c.Signature, want[i] == 'V', false})
	}
	checkTriples(t, triples)
	checkTriples(t, onlyValid(triples))
}

func TestCCTVVectors(t *testing.T) {
	var cases []struct {
		Key       hexBytes `json:"key"`
		Signature hexBytes `json:"sig"`
		Message   string   `json:"msg"`
		Flags     []string `json:"flags"`
	}
	readJSON(t, outside(t, "ed25519-cctv.json"), &cases)
	if len(cases) != 914 {
		t.Fatalf("%d cases", len(cases))
	}
	var triples []triple
	for _, c := range cases {
		// ZIP-215 hashes the key and the point as they were sent. Where a vector
		// hashed another encoding of them, it is valid only if the hash does not
		// matter, because the key that it multiplies vanishes.
		valid := !slices.Contains(c.Flags, "reencoded_k") || slices.Contains(c.Flags, "low_order_A")
		triples = append(triples, triple{fmt.Sprint(c.Flags), c.Key, []byte(c.Message), c.Signature, valid, false})
	}
	checkTriples(t, triples)
	for len(triples) > 0 { // small batches take another way through the library
		n := min(len(triples), fewKeys)
		checkTriples(t, triples[:n])
		triples = triples[n:]
	}
}

func TestWycheproofVectors(t *testing.T) {
	var file struct {
		TestGroups []struct {
			PublicKey struct {
				Key hexBytes `json:"pk"`
			} `json:"publicKey"`
			Tests []struct {
				ID        int      `json:"tcId"`
				Comment   string   `json:"comment"`
				Message   hexBytes `json:"msg"`
				Signature hexBytes `json:"sig"`
				Result    string   `json:"result"`
			} `json:"tests"`
		} `json:"testGroups"`
	}
	readJSON(t, outside(t, "ed25519-wycheproof.json"), &file)
	var triples []triple
	for _, group := range file.TestGroups {
		for _, c := range group.Tests {
			// The labels are those of RFC 8032. In case 151 the point is the neutral
			// element with the sign of x set, an encoding that ZIP-215 decodes.
			valid := c.Result == "valid" || c.ID == 151
			triples = append(triples, triple{fmt.Sprint(c.ID, " ", c.Comment), group.PublicKey.Key, c.Message, c.Signature, valid, false})
		}
	}
	if len(triples) != 151 {
		t.Fatalf("%d cases", len(triples))
	}
	checkTriples(t, triples)
	checkTriples(t, onlyValid(triples))
}

// smallOrderEncodings are the 14 encodings of the 8 points of small order.
func smallOrderEncodings(t testing.TB) (list []hexBytes) {
	t.Helper()
	readJSON(t, "testdata/small_order.json", &list)
	if len(list) != 14 {
		t.Fatalf("%d encodings", len(list))
	}
	return list
}

// signTorsioned signs with a key and a commitment that each have a small-order
// part added: i of 8 and j of 8. Only a verifier that multiplies by the cofactor
// accepts what comes out, and no honest signer makes it.
func signTorsioned(rng *rand.Rand, message []byte, i, j int) triple {
	a, r := randomScalar(rng), randomScalar(rng)
	key := torsioned(a, i)
	commitment := torsioned(r, j)
	digest := sha512.Sum512(append(append(append([]byte{}, commitment...), key...), message...))
	k, _ := scalar.NewFromBytesModOrderWide(digest[:])
	s := scalar.New().Mul(k, a)
	s.Add(s, r)
	signature := append(commitment, make([]byte, 32)...)
	_ = s.ToBytes(signature[32:])
	return triple{Comment: fmt.Sprintf("torsion %d %d", i, j), Key: key, Message: message, Signature: signature, Valid: true}
}

func randomScalar(rng *rand.Rand) *scalar.Scalar {
	s, err := scalar.NewFromBytesModOrderWide(randomBytes(rng, 64))
	if err != nil {
		panic(err)
	}
	return s
}

func torsioned(s *scalar.Scalar, i int) []byte {
	var p curve.EdwardsPoint
	p.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, s)
	p.Add(&p, curve.EIGHT_TORSION[i])
	var c curve.CompressedEdwardsY
	c.SetEdwardsPoint(&p)
	return c[:]
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func signHonestly(rng *rand.Rand, message []byte) triple {
	key := ed25519.NewKeyFromSeed(randomBytes(rng, 32))
	return triple{Comment: "honest", Key: hexBytes(key[32:]), Message: message, Signature: ed25519.Sign(key, message), Valid: true}
}

// randomTriple returns a signature of any kind; only the oracle knows whether it
// is valid.
func randomTriple(rng *rand.Rand, smallOrder []hexBytes) triple {
	c := signHonestly(rng, randomBytes(rng, rng.IntN(64)))
	if rng.IntN(2) == 0 {
		c = signTorsioned(rng, c.Message, rng.IntN(8), rng.IntN(8))
	}
	c.unanswered = true
	small := smallOrder[rng.IntN(len(smallOrder))]
	switch rng.IntN(8) {
	case 0:
		c.Signature[rng.IntN(64)] ^= 1 << rng.IntN(8)
	case 1:
		c.Key[rng.IntN(32)] ^= 1 << rng.IntN(8)
	case 2: // valid: s = 0 and both points vanish under the cofactor
		c.Key = append(hexBytes{}, small...)
		c.Signature = append(append(hexBytes{}, smallOrder[rng.IntN(len(smallOrder))]...), make([]byte, 32)...)
	case 3:
		copy(c.Signature, small)
	case 4: // the same s, plus the group's order: an encoding that must not pass
		addOrder(c.Signature[32:])
	case 5:
		c.Key = randomBytes(rng, rng.IntN(40))
	}
	return c
}

// addOrder adds the order of the group to the little-endian number s, which it
// leaves within 32 bytes.
func addOrder(s []byte) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	slices.Reverse(s)
	order.Add(order, new(big.Int).SetBytes(s)).FillBytes(s)
	slices.Reverse(s)
}

func TestSignaturesAgreeWithOracle(t *testing.T) {
	smallOrder := smallOrderEncodings(t)
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var triples []triple
		for range 1 + rng.IntN(20) {
			triples = append(triples, randomTriple(rng, smallOrder))
		}
		checkTriples(t, triples)
		checkTriples(t, onlyValid(triples))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzSignatures(f *testing.F) {
	smallOrder := smallOrderEncodings(f)
	f.Add(uint64(1), []byte("key"), []byte("signature"), []byte("message"))
	f.Add(uint64(2), []byte(smallOrder[0]), make([]byte, 64), []byte{})
	f.Fuzz(func(t *testing.T, seed uint64, key, signature, message []byte) {
		rng := rand.New(rand.NewPCG(seed, 1))
		triples := []triple{{Comment: "fuzzed", Key: key, Message: message, Signature: signature, unanswered: true}}
		for range rng.IntN(3) {
			triples = append(triples, randomTriple(rng, smallOrder))
		}
		mixed := randomTriple(rng, smallOrder)
		mixed.Signature = append(mixed.Signature[:32:32], signature...)
		triples = append(triples, mixed)
		checkTriples(t, triples)
		checkTriples(t, onlyValid(triples))
	})
}

// goldenTransfer was made by an independent program from the text of the
// protocol and RFC 8032.
type goldenTransfer struct {
	Seed      hexBytes   `json:"seed"`
	ChainID   types.Hash `json:"chain_id"`
	Sender    hexBytes   `json:"sender"`
	Recipient hexBytes   `json:"recipient"`
	Amount    uint64     `json:"amount"`
	Fee       uint64     `json:"fee"`
	Expiry    uint32     `json:"expiry"`
	Salt      uint64     `json:"salt,string"`
	Memo      hexBytes   `json:"memo"`
	Message   hexBytes   `json:"message"`
	Signature hexBytes   `json:"signature"`
	ID        types.Hash `json:"id"`
}

func TestGoldenSignatures(t *testing.T) {
	var golden []goldenTransfer
	readJSON(t, "testdata/signing.json", &golden)
	for i, g := range golden {
		rules := &Rules{Signatures: true, chainID: g.ChainID}
		transfer := types.Transfer{
			Sender: types.Account(g.Sender), Recipient: types.Account(g.Recipient),
			Amount: g.Amount, Fee: g.Fee, Expiry: g.Expiry, Salt: g.Salt, Memo: string(g.Memo),
		}
		if got := rules.SigningMessage([]byte("x"), &transfer); !bytes.Equal(got, append([]byte("x"), g.Message...)) {
			t.Errorf("%d: message is x and\n%v, not\n%v", i, hexBytes(got[1:]), g.Message)
		}
		if len(g.Message) > maxSignedMessage {
			t.Errorf("%d: message has %d bytes, more than %d", i, len(g.Message), maxSignedMessage)
		}
		rules.Sign(&transfer, ed25519.NewKeyFromSeed(g.Seed))
		if !bytes.Equal(transfer.Signature[:], g.Signature) {
			t.Errorf("%d: signature is %x, not %x", i, transfer.Signature, g.Signature)
		}
		if got := transfer.ID(); got != g.ID {
			t.Errorf("%d: id is %v, not %v", i, got, g.ID)
		}
		if err := rules.VerifySignatures([]types.Transfer{transfer}, nil); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		rules.chainID[0] ^= 1
		if err := rules.VerifySignatures([]types.Transfer{transfer}, nil); !errors.Is(err, ErrSignature) {
			t.Errorf("%d: on another chain: %v", i, err)
		}
	}
}

// signedTransfers makes n transfers by n keys.
func signedTransfers(t testing.TB, rules *Rules, n int) []types.Transfer {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	ts := make([]types.Transfer, n)
	for i := range ts {
		key := ed25519.NewKeyFromSeed(randomBytes(rng, 32))
		ts[i] = types.Transfer{
			Sender: types.Account(key[32:]), Recipient: types.Account(randomBytes(rng, 32)),
			Amount: 1000, Fee: 10, Expiry: 100, Salt: rng.Uint64(),
		}
		rules.Sign(&ts[i], key)
	}
	return ts
}

func TestVerifySignaturesNamesTheFirst(t *testing.T) {
	rules := &Rules{Signatures: true}
	good := signedTransfers(t, rules, maxBatch+10)
	for _, n := range []int{0, 1, fewKeys, fewKeys + 1, len(good)} {
		if err := rules.VerifySignatures(good[:n], nil); err != nil {
			t.Fatalf("%d good ones: %v", n, err)
		}
	}
	for _, at := range [][]int{{0, maxBatch + 2}, {maxBatch - 1}, {maxBatch, maxBatch + 5}} {
		ts := slices.Clone(good)
		for _, i := range at {
			ts[i].Amount++
		}
		err := rules.VerifySignatures(ts, nil)
		if prefix := fmt.Sprintf("transfer %d: ", at[0]); !errors.Is(err, ErrSignature) || !strings.HasPrefix(err.Error(), prefix) {
			t.Errorf("bad %v: %v", at, err)
		}
		for i, err := range rules.VerifyEach(pointers(ts)) {
			if bad := slices.Contains(at, i); errors.Is(err, ErrSignature) != bad {
				t.Errorf("bad %v: transfer %d: %v", at, i, err)
			}
		}
		known := func(i int) bool { return slices.Contains(at, i) }
		if err := rules.VerifySignatures(ts, known); err != nil {
			t.Errorf("bad but known %v: %v", at, err)
		}
	}
}

// A sender of any length and bytes that are no point are bad signatures, not
// accidents.
func TestVerifySignaturesOfOddSenders(t *testing.T) {
	rules := &Rules{Signatures: true}
	for _, sender := range []string{"", "0", strings.Repeat("\xff", 32), strings.Repeat("\x02", 33), strings.Repeat("k", 255)} {
		ts := []types.Transfer{{Sender: types.Account(sender)}}
		if err := rules.VerifySignatures(ts, nil); !errors.Is(err, ErrSignature) {
			t.Errorf("%q: %v", sender, err)
		}
	}
}

func TestNetworkWithoutSignatures(t *testing.T) {
	rules := &Rules{}
	ts := make([]types.Transfer, 5)
	ts[3].Signature[63] = 1
	if err := rules.VerifySignatures(ts[:3], nil); err != nil {
		t.Error(err)
	}
	if err := rules.VerifySignatures(ts, nil); !errors.Is(err, ErrUnexpectedSignature) || !strings.HasPrefix(err.Error(), "transfer 3: ") {
		t.Error(err)
	}
	for i, err := range rules.VerifyEach(pointers(ts)) {
		if errors.Is(err, ErrUnexpectedSignature) != (i == 3) {
			t.Errorf("transfer %d: %v", i, err)
		}
	}
	rules.Sign(&ts[3], ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err := rules.VerifySignatures(ts, nil); err != nil {
		t.Error(err)
	}
}

func pointers(ts []types.Transfer) []*types.Transfer {
	all := make([]*types.Transfer, len(ts))
	for i := range ts {
		all[i] = &ts[i]
	}
	return all
}
