package consensus

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cairn/internal/naive"
	"cairn/types"
)

// testRules are those of a small network. Blocks take two tries to mine.
func testRules(signatures bool) Rules {
	r := Rules{
		Name: "test", Symbol: "T", Decimals: 2, AddressPrefix: "test",
		Time: 1_700_000_000, Bits: 0x207fffff, BlockInterval: 10, HalfLife: 360,
		Reward: 5000, HalvingInterval: 100, MaxBlockSize: 2000, TxLifetime: 5,
		MinBalance: 10, Signatures: signatures,
	}
	if !signatures {
		r.CreditLimit = 300
	}
	for _, name := range []string{"alice", "bob"} {
		r.Allocations = append(r.Allocations, Allocation{testAccount(signatures, name), 1000})
	}
	slices.SortFunc(r.Allocations, func(a, b Allocation) int { return strings.Compare(string(a.Account), string(b.Account)) })
	return r
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// testAccount is the name itself, or a key that is made from the name.
func testAccount(signatures bool, name string) types.Account {
	if !signatures {
		return types.Account(name)
	}
	return types.Account(testKey(name)[32:])
}

// resign signs t again if one of the named keys is its sender's.
func resign(r *Rules, t *types.Transfer) {
	for _, name := range []string{"alice", "bob", "carol", "miner"} {
		if t.Sender == testAccount(true, name) {
			r.Sign(t, testKey(name))
		}
	}
}

// ruleCase is one way to break one rule in a block that is otherwise valid. The
// functions change what they are given at one stage of its making; all that
// depends on it is made afterwards: signatures, commitment, Merkle root, proof
// of work.
type ruleCase struct {
	name       string // of the error's variable
	want       error
	how        string
	signatures bool
	mangled    bool // MayBeMangled

	rules     func(*Rules)
	parent    func(*State)
	transfers func([]types.Transfer) []types.Transfer
	signed    func([]types.Transfer)
	reward    func(*types.Reward)
	committed func(*types.Reward)
	header    func(*types.Header)
	mined     func(*types.Block)
	raw       func([]byte) []byte
}

// first makes a change of the first transfer into a change of all.
func first(change func(*types.Transfer)) func([]types.Transfer) []types.Transfer {
	return func(ts []types.Transfer) []types.Transfer {
		change(&ts[0])
		return ts
	}
}

func secondsLater(n uint32) func(*types.Header) {
	return func(h *types.Header) { h.Time += n }
}

const (
	testHeight = 2  // of the block that is corrupted
	testSpeed  = 10 // seconds from block to block
	validSize  = 1000

	aliceHas = 1000 - 100 - fee // before that block
	fee      = 1
)

// validTransfers are those of the blocks at heights 1 and 2. With the reward,
// those of block 2 are an odd number; on the network without signatures they
// make it validSize bytes.
func validTransfers(signatures bool, height int) []types.Transfer {
	transfer := func(sender, recipient string, amount, fee, salt uint64, memo string) types.Transfer {
		return types.Transfer{
			Sender: testAccount(signatures, sender), Recipient: testAccount(signatures, recipient),
			Amount: amount, Fee: fee, Expiry: testHeight, Salt: salt, Memo: memo,
		}
	}
	if height == 1 {
		return []types.Transfer{transfer("alice", "bob", 100, fee, 1, "")}
	}
	return []types.Transfer{
		transfer("alice", "bob", 100, fee, 2, strings.Repeat("m", 254)),
		transfer("bob", "carol", 50, 0, 1, strings.Repeat("M", 118)),
		transfer("alice", "carol", 20, fee, 3, ""),
		transfer("bob", "alice", 0, 0, 2, ""),
	}
}

var ruleCases = []ruleCase{
	{name: "ErrMalformed", want: types.ErrMalformed, how: "a byte too many", mangled: true,
		raw: func(b []byte) []byte { return append(b, 0) }},
	{name: "ErrMalformed", want: types.ErrMalformed, how: "a byte too few", mangled: true,
		raw: func(b []byte) []byte { return b[:len(b)-1] }},
	{name: "ErrMalformed", want: types.ErrMalformed, how: "a count that has a shorter form", mangled: true,
		raw: func(b []byte) []byte { return slices.Replace(b, 80, 81, 0xfd, b[80], 0) }},
	{name: "ErrMalformed", want: types.ErrMalformed, how: "a transfer of another version", mangled: true,
		raw: func(b []byte) []byte {
			block, _ := types.DecodeBlock(b)
			b[len(b)-block.Transfers[len(block.Transfers)-1].Size()] = 9
			return b
		}},
	{name: "ErrRewardPosition", want: types.ErrRewardPosition, how: "no transaction", mangled: true,
		raw: func(b []byte) []byte { return append(b[:80:80], 0) }},
	{name: "ErrRewardPosition", want: types.ErrRewardPosition, how: "a transfer first", mangled: true,
		raw: func(b []byte) []byte { b[81] = 2; return b }},
	{name: "ErrRewardPosition", want: types.ErrRewardPosition, how: "a second reward", mangled: true,
		raw: func(b []byte) []byte {
			block, _ := types.DecodeBlock(b)
			reward := block.Reward.Append(nil)
			b[80]++
			return slices.Insert(b, 81, reward...)
		}},

	{name: "ErrVersion", want: ErrVersion, how: "version 1", header: func(h *types.Header) { h.Version = 1 }},
	{name: "ErrVersion", want: ErrVersion, how: "a bit that is not the miner's", header: func(h *types.Header) { h.Version |= 1 << 12 }},
	{name: "ErrPrevious", want: ErrPrevious, how: "one bit", header: func(h *types.Header) { h.Previous[31] ^= 1 }},
	{name: "ErrTimeBeforeParent", want: ErrTimeBeforeParent, how: "a second", header: func(h *types.Header) { h.Time -= testSpeed + 1 }},
	{name: "ErrTooNew", want: ErrTooNew, how: "a second", header: secondsLater(20 + 1)},
	{name: "ErrTooNew", want: ErrTooNew, how: "slow blocks", header: secondsLater(2*60 + 1),
		rules: func(r *Rules) { r.BlockInterval = 60; r.HalfLife = 0 }},
	{name: "ErrCompact", want: ErrCompact, how: "not the shortest form", header: func(h *types.Header) { h.Bits = 0x21007fff }},
	{name: "ErrCompact", want: ErrCompact, how: "negative", header: func(h *types.Header) { h.Bits = 0x20ffffff }},
	{name: "ErrCompact", want: ErrCompact, how: "zero", header: func(h *types.Header) { h.Bits = 0x20000000 }},
	{name: "ErrCompact", want: ErrCompact, how: "over 256 bits", header: func(h *types.Header) { h.Bits = 0x217fffff }},
	{name: "ErrBits", want: ErrBits, how: "harder than the base", header: func(h *types.Header) { h.Bits = 0x207ffffe }},
	{name: "ErrBits", want: ErrBits, how: "relief that is not due", parent: func(s *State) { s.Base = 0x1f7fffff }},
	{name: "ErrProofOfWork", want: ErrProofOfWork, how: "another nonce", mined: func(b *types.Block) {
		for target, _ := CompactToTarget(b.Header.Bits); target.Meets(b.Header.Hash()); {
			b.Header.Nonce++
		}
	}},
	{name: "ErrHeightLimit", want: ErrHeightLimit, how: "the last height", parent: func(s *State) { s.Height = math.MaxUint32 }},

	{name: "ErrBlockSize", want: ErrBlockSize, how: "one byte", mangled: true,
		rules: func(r *Rules) { r.MaxBlockSize = validSize }, transfers: first(func(t *types.Transfer) { t.Memo += "!" })},
	{name: "ErrMerkleMutated", want: ErrMerkleMutated, how: "the odd transaction doubled", mangled: true,
		mined: func(b *types.Block) { b.Transfers = append(b.Transfers, b.Transfers[len(b.Transfers)-1]) }},
	{name: "ErrMerkleRoot", want: ErrMerkleRoot, how: "another root", mangled: true, mined: func(b *types.Block) {
		b.Transfers[0].Amount++
	}},
	{name: "ErrMerkleRoot", want: ErrMerkleRoot, how: "a transfer left out", mangled: true, mined: func(b *types.Block) {
		b.Transfers = b.Transfers[1:]
	}},
	{name: "ErrRewardHeight", want: ErrRewardHeight, how: "the parent's", reward: func(r *types.Reward) { r.Height-- }},
	{name: "ErrRewardHeight", want: ErrRewardHeight, how: "the child's", reward: func(r *types.Reward) { r.Height++ }},
	{name: "ErrRewardRecipient", want: ErrRewardRecipient, how: "nobody", reward: func(r *types.Reward) { r.Recipient = "" }},
	{name: "ErrRewardRecipient", want: ErrRewardRecipient, how: "the system", reward: func(r *types.Reward) { r.Recipient = types.System }},
	{name: "ErrRewardRecipient", want: ErrRewardRecipient, how: "a name where keys are", signatures: true,
		reward: func(r *types.Reward) { r.Recipient = "miner" }},
	{name: "ErrDuplicateSalt", want: ErrDuplicateSalt, how: "one sender, one salt", transfers: func(ts []types.Transfer) []types.Transfer {
		again := ts[0]
		again.Amount++
		return append(ts, again)
	}},

	{name: "ErrAccount", want: ErrAccount, how: "an empty sender", transfers: first(func(t *types.Transfer) { t.Sender = ""; t.Amount = 0; t.Fee = 0 })},
	{name: "ErrAccount", want: ErrAccount, how: "an empty recipient", transfers: first(func(t *types.Transfer) { t.Recipient = "" })},
	{name: "ErrAccount", want: ErrAccount, how: "a name of 65 bytes", transfers: first(func(t *types.Transfer) { t.Recipient = types.Account(strings.Repeat("x", 65)) })},
	{name: "ErrAccount", want: ErrAccount, how: "a control character", transfers: first(func(t *types.Transfer) { t.Recipient = "a\nb" })},
	{name: "ErrAccount", want: ErrAccount, how: "a name where keys are", signatures: true, transfers: first(func(t *types.Transfer) { t.Recipient = "bob" })},
	{name: "ErrSystemAccount", want: ErrSystemAccount, how: "as recipient", transfers: first(func(t *types.Transfer) { t.Recipient = types.System })},
	{name: "ErrSystemAccount", want: ErrSystemAccount, how: "as sender", transfers: first(func(t *types.Transfer) { t.Sender = types.System })},
	{name: "ErrSystemAccount", want: ErrSystemAccount, how: "where keys are", signatures: true, transfers: first(func(t *types.Transfer) { t.Recipient = types.System })},
	{name: "ErrSmallOrder", want: ErrSmallOrder, how: "as recipient", signatures: true,
		transfers: first(func(t *types.Transfer) { t.Recipient = types.Account(make([]byte, 32)) })},
	{name: "ErrSmallOrder", want: ErrSmallOrder, how: "as sender, with a signature that anyone can make", signatures: true,
		transfers: first(func(t *types.Transfer) {
			t.Sender, t.Amount, t.Fee = types.Account(append([]byte{1}, make([]byte, 31)...)), 0, 0
			t.Signature = [64]byte{1}
		})},
	{name: "ErrAmount", want: ErrAmount, how: "one unit", transfers: first(func(t *types.Transfer) { t.Amount = types.MaxAmount + 1 })},
	{name: "ErrAmount", want: ErrAmount, how: "wrapping round", transfers: first(func(t *types.Transfer) { t.Amount = math.MaxUint64; t.Fee = 2 })},
	{name: "ErrFee", want: ErrFee, how: "one unit", transfers: first(func(t *types.Transfer) { t.Amount = 0; t.Fee = types.MaxAmount + 1 })},
	{name: "ErrFee", want: ErrFee, how: "wrapping round", transfers: first(func(t *types.Transfer) { t.Amount = 2; t.Fee = math.MaxUint64 })},
	{name: "ErrSum", want: ErrSum, how: "one unit", transfers: first(func(t *types.Transfer) { t.Amount = types.MaxAmount - fee + 1 })},
	{name: "ErrExpired", want: ErrExpired, how: "at the parent's height", transfers: first(func(t *types.Transfer) { t.Expiry = testHeight - 1 })},
	{name: "ErrExpiryTooFar", want: ErrExpiryTooFar, how: "one block", transfers: first(func(t *types.Transfer) { t.Expiry = testHeight + 5 + 1 })},
	{name: "ErrReplay", want: ErrReplay, how: "in the parent", transfers: first(func(t *types.Transfer) { t.Salt = 1 })},
	{name: "ErrSignature", want: ErrSignature, how: "the amount changed after signing", signatures: true,
		signed: func(ts []types.Transfer) { ts[1].Amount++ }},
	{name: "ErrSignature", want: ErrSignature, how: "none", signatures: true,
		signed: func(ts []types.Transfer) { ts[0].Signature = [64]byte{} }},
	{name: "ErrSignature", want: ErrSignature, how: "another's", signatures: true,
		signed: func(ts []types.Transfer) { ts[0].Sender = testAccount(true, "carol"); ts[0].Amount, ts[0].Fee = 0, 0 }},
	{name: "ErrUnexpectedSignature", want: ErrUnexpectedSignature, how: "one bit", signed: func(ts []types.Transfer) { ts[1].Signature[63] = 1 }},

	{name: "ErrInsufficient", want: ErrInsufficient, how: "one unit more than there is", signatures: true,
		transfers: first(func(t *types.Transfer) { t.Amount = aliceHas - fee + 1 })},
	{name: "ErrInsufficient", want: ErrInsufficient, how: "the fee alone", signatures: true,
		transfers: first(func(t *types.Transfer) { t.Amount = 0; t.Fee = aliceHas + 1 })},
	{name: "ErrInsufficient", want: ErrInsufficient, how: "one unit more than there is and may be owed",
		transfers: first(func(t *types.Transfer) { t.Amount = aliceHas + 300 - fee + 1 })},
	{name: "ErrInsufficient", want: ErrInsufficient, how: "to oneself what one does not have", signatures: true,
		transfers: first(func(t *types.Transfer) { t.Recipient = t.Sender; t.Amount = aliceHas })},
	{name: "ErrBalanceLimit", want: ErrBalanceLimit, how: "one unit", rules: func(r *Rules) {
		r.Allocations = append(r.Allocations, Allocation{"rich", types.MaxAmount - 2000 - 5000})
		r.CreditLimit = 50_000
	}, transfers: first(func(t *types.Transfer) { t.Recipient = "rich"; t.Amount = 7000 + 1 })},
	{name: "ErrMinBalance", want: ErrMinBalance, how: "of the sender, one unit", signatures: true,
		transfers: first(func(t *types.Transfer) { t.Amount = aliceHas - fee - 9 })},
	{name: "ErrMinBalance", want: ErrMinBalance, how: "of the recipient, one unit", transfers: first(func(t *types.Transfer) { t.Recipient = "dave"; t.Amount = 9 })},
	{name: "ErrRewardAmount", want: ErrRewardAmount, how: "a fee too little", reward: func(r *types.Reward) { r.Amount -= fee }},
	{name: "ErrRewardAmount", want: ErrRewardAmount, how: "a unit too much", reward: func(r *types.Reward) { r.Amount++ }},
	{name: "ErrRewardAmount", want: ErrRewardAmount, how: "fees that no reward can hold", rules: func(r *Rules) { r.CreditLimit = types.MaxAmount },
		transfers: first(func(t *types.Transfer) { t.Amount = 0; t.Fee = types.MaxAmount - 5000 })},
	{name: "ErrCommitment", want: ErrCommitment, how: "one bit", committed: func(r *types.Reward) { r.Commitment[0] ^= 1 }},
}

// build makes the block on the tip that a case asks for, and a time of the clock
// at which a valid one is not too new. The case with no changes makes a valid
// block.
func (c *ruleCase) build(n *node, height int) (raw []byte, now uint64) {
	parent := &n.blocks[n.tip].state
	apply(c.parent, parent)
	b := &types.Block{Header: types.Header{
		Version: versionForm, Previous: parent.Hash, Time: parent.Time + testSpeed, Bits: n.rules.Bits,
	}}
	now = uint64(b.Header.Time)
	b.Transfers = c.buildTransfers(n.rules, height)
	b.Reward = c.buildReward(n, height, b.Transfers)
	apply(c.header, &b.Header)
	mine(b)
	apply(c.mined, b)
	raw = b.Encode()
	if c.raw != nil {
		raw = c.raw(raw)
	}
	return raw, now
}

func apply[T any](change func(T), to T) {
	if change != nil {
		change(to)
	}
}

func (c *ruleCase) buildTransfers(r *Rules, height int) []types.Transfer {
	ts := validTransfers(r.Signatures, height)
	if c.transfers != nil {
		ts = c.transfers(ts)
	}
	if r.Signatures {
		for i := range ts {
			resign(r, &ts[i])
		}
	}
	apply(c.signed, ts)
	return ts
}

// buildReward makes the reward that would be right if there were no rules about
// transfers and balances.
func (c *ruleCase) buildReward(n *node, height int, ts []types.Transfer) types.Reward {
	r := types.Reward{
		Height: uint32(height), Extra: []byte("test"), Amount: n.rules.Subsidy(uint32(height)),
		Recipient: testAccount(n.rules.Signatures, "miner"),
	}
	for i := range ts {
		r.Amount += ts[i].Fee
	}
	apply(c.reward, &r)
	r.Commitment = naive.Commitment(applyLeniently(n.balances, ts, &r), n.branch(), twin(n.rules))
	apply(c.committed, &r)
	return r
}

// newCaseNode makes the network of a case, with a block at height 1.
func newCaseNode(t testing.TB, c *ruleCase) (*node, *naive.Chain) {
	t.Helper()
	r := testRules(c.signatures)
	apply(c.rules, &r)
	rules, err := NewRules(r)
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, rules)
	dumb, err := naive.New(twin(rules), rules.Genesis())
	if err != nil {
		t.Fatal(err)
	}
	raw, now := new(ruleCase).build(n, 1)
	mustAdd(t, n, dumb, raw, now)
	return n, dumb
}

func mustAdd(t testing.TB, n *node, dumb *naive.Chain, raw []byte, now uint64) {
	t.Helper()
	if err := n.add(raw, now); err != nil {
		t.Fatal(err)
	}
	block, _ := types.DecodeBlock(raw)
	if err := dumb.Add(block, int64(now)); err != nil {
		t.Fatalf("naive twin: %v", err)
	}
}

// Each case stands on two legs: the block without the corruption is valid, with
// it the error is the one of that rule. The naive twin agrees on both.
func TestEachRuleIsBrokenAlone(t *testing.T) {
	for _, c := range ruleCases {
		t.Run(c.name+"/"+c.how, func(t *testing.T) {
			n, dumb := newCaseNode(t, &c)
			raw, now := c.build(n, testHeight)
			err := n.add(raw, now)
			if !errors.Is(err, c.want) {
				t.Fatalf("error is %v, not %v", err, c.want)
			}
			if MayBeMangled(err) != c.mangled {
				t.Errorf("MayBeMangled is %t for %v", !c.mangled, err)
			}
			if block, err := types.DecodeBlock(raw); err == nil && c.parent == nil {
				if dumb.Add(block, int64(now)) == nil {
					t.Error("the naive twin accepts it")
				}
			}

			n, dumb = newCaseNode(t, &c)
			raw, now = new(ruleCase).build(n, testHeight)
			mustAdd(t, n, dumb, raw, now)
			if !c.signatures && len(raw) != validSize {
				t.Errorf("the valid block has %d bytes", len(raw))
			}
		})
	}
}

// errorCases are the errors of text rather than of blocks.
var errorCases = []struct {
	name string
	want error
	make func(*Rules) error
}{
	{"ErrAccountText", ErrAccountText, func(r *Rules) error { _, err := r.ParseAccount("bob"); return err }},
	{"ErrAmountText", ErrAmountText, func(r *Rules) error { _, err := r.ParseAmount("0.001"); return err }},
	{"ErrGenesis", ErrGenesis, func(*Rules) error { _, err := ParseGenesis([]byte("{}")); return err }},
	{"ErrGenesis", ErrGenesis, func(*Rules) error { _, err := NewRules(Rules{}); return err }},
}

func TestErrorsOfText(t *testing.T) {
	rules := mustRules(testRules(true))
	for _, c := range errorCases {
		if err := c.make(rules); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestEachErrorHasACase fails when a rule is added without a block that breaks
// it.
func TestEachErrorHasACase(t *testing.T) {
	named := map[string]error{}
	add := func(name string, err error) {
		if other, ok := named[name]; ok && other != err {
			t.Errorf("%s stands for two errors", name)
		}
		named[name] = err
	}
	for _, c := range ruleCases {
		add(c.name, c.want)
	}
	for _, c := range errorCases {
		add(c.name, c.want)
	}
	declared := declaredErrors(t)
	if len(declared) < 30 {
		t.Errorf("only %d errors found: %v", len(declared), declared)
	}
	for _, name := range append(declared, "ErrMalformed", "ErrRewardPosition") {
		if named[name] == nil {
			t.Errorf("no case for %s", name)
		}
	}
}

// declaredErrors lists the exported variables of the package in this directory
// whose name begins with Err.
func declaredErrors(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if spec, ok := node.(*ast.ValueSpec); ok {
				for _, name := range spec.Names {
					if strings.HasPrefix(name.Name, "Err") {
						names = append(names, name.Name)
					}
				}
			}
			return true
		})
	}
	return names
}
