package proof

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"cairn/accounts"
	"cairn/consensus"
	"cairn/history"
	"cairn/types"
)

func wantText(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v does not say %q", err, text)
	}
}

// corruption changes a document that holds, which then fails by want, because of
// cause where that is not nil.
type corruption struct {
	name   string
	change func(d *Document)
	want   error
	cause  error
}

func checkCorruptions(t *testing.T, c *testChain, good *Document, cases []corruption) {
	t.Helper()
	for _, x := range cases {
		d := copyOf(t, good)
		mustVerify(t, d, c.rules)
		x.change(d)
		r, err := d.Verify(c.rules, late)
		if !errors.Is(err, x.want) || x.cause != nil && !errors.Is(err, x.cause) {
			t.Errorf("%s: error %v, want %v because of %v", x.name, err, x.want, x.cause)
		}
		if r != (Result{}) {
			t.Errorf("%s: the result is %+v", x.name, r)
		}
		for _, other := range []error{ErrFormat, ErrNetwork, ErrHeaders, ErrCommitment, ErrBlock, ErrTransaction, ErrAccount} {
			if other != x.want && errors.Is(err, other) {
				t.Errorf("%s: error %v is %v too", x.name, err, other)
			}
		}
	}
}

func TestCorruptHeaders(t *testing.T) {
	c := smallChain(t)
	checkCorruptions(t, c, fullDocument(t, c), []corruption{
		{"none", func(d *Document) { d.Headers = nil }, ErrHeaders, nil},
		{"without the first", func(d *Document) { d.Headers = d.Headers[1:] }, ErrHeaders, consensus.ErrPrevious},
		{"without one", func(d *Document) { d.Headers = slices.Delete(d.Headers, 3, 4) }, ErrHeaders, consensus.ErrPrevious},
		{"one twice", func(d *Document) { d.Headers = slices.Insert(d.Headers, 3, d.Headers[3]) }, ErrHeaders, consensus.ErrPrevious},
		{"two exchanged", func(d *Document) { d.Headers[1], d.Headers[2] = d.Headers[2], d.Headers[1] }, ErrHeaders, consensus.ErrPrevious},
		{"genesis in front", func(d *Document) { d.Headers = slices.Insert(d.Headers, 0, c.rules.Genesis().Header) }, ErrHeaders, consensus.ErrPrevious},
		{"a version", func(d *Document) { d.Headers[7].Version = 1 }, ErrHeaders, consensus.ErrVersion},
		{"a previous", func(d *Document) { d.Headers[7].Previous[5] ^= 1 }, ErrHeaders, consensus.ErrPrevious},
		{"a Merkle root", func(d *Document) { d.Headers[7].MerkleRoot[5] ^= 1 }, ErrHeaders, consensus.ErrProofOfWork},
		{"a time", func(d *Document) { d.Headers[7].Time++ }, ErrHeaders, consensus.ErrProofOfWork},
		{"an early time", func(d *Document) { d.Headers[7].Time = d.Headers[6].Time - 1 }, ErrHeaders, consensus.ErrTimeBeforeParent},
		{"easier bits", func(d *Document) { d.Headers[7].Bits = 0x207fffff }, ErrHeaders, consensus.ErrBits},
		{"bits of no target", func(d *Document) { d.Headers[7].Bits = 0 }, ErrHeaders, consensus.ErrCompact},
		{"a nonce", func(d *Document) { d.Headers[7].Nonce ^= 1 }, ErrHeaders, consensus.ErrProofOfWork},
		{"a start of no use", func(d *Document) { d.Start = c.document(t, 6, 6).Start }, ErrHeaders, consensus.ErrPrevious},
		{"fewer than the account needs", func(d *Document) { d.Headers = d.Headers[:4] }, ErrCommitment, nil},
	})
}

func TestCorruptCommitments(t *testing.T) {
	c := smallChain(t)
	at := func(change func(*Commitment)) func(*Document) {
		return func(d *Document) { change(&d.Commitments[0]) }
	}
	other := c.document(t, 1, 1)
	c.commit(other, 4, 6)
	checkCorruptions(t, c, fullDocument(t, c), []corruption{
		{"height 0", at(func(x *Commitment) { x.Height = 0 }), ErrCommitment, nil},
		{"the next height", at(func(x *Commitment) { x.Height++ }), ErrCommitment, consensus.ErrRewardHeight},
		{"a height beyond", at(func(x *Commitment) { x.Height = 9 }), ErrCommitment, nil},
		{"the last height", at(func(x *Commitment) { x.Height = math.MaxUint32 }), ErrCommitment, nil},
		{"reward's height", at(func(x *Commitment) { x.Reward.Height++ }), ErrCommitment, consensus.ErrRewardHeight},
		{"both heights", at(func(x *Commitment) { x.Reward.Height++; x.Height++ }), ErrCommitment, consensus.ErrMerkleRoot},
		{"reward's amount", at(func(x *Commitment) { x.Reward.Amount++ }), ErrCommitment, consensus.ErrMerkleRoot},
		{"reward's recipient", at(func(x *Commitment) { x.Reward.Recipient = person(bob) }), ErrCommitment, consensus.ErrMerkleRoot},
		{"reward's commitment", at(func(x *Commitment) { x.Reward.Commitment[0] ^= 1 }), ErrCommitment, consensus.ErrMerkleRoot},
		{"miner's own bytes", at(func(x *Commitment) { x.Reward.Extra = nil }), ErrCommitment, consensus.ErrMerkleRoot},
		{"a node more", at(func(x *Commitment) { x.Branch = append(x.Branch, types.Hash{}) }), ErrCommitment, consensus.ErrMerkleRoot},
		{"another reward", at(func(x *Commitment) { x.Reward = other.Commitments[0].Reward }), ErrCommitment, consensus.ErrRewardHeight},
		{"account root", at(func(x *Commitment) { x.AccountRoot[3] ^= 1 }), ErrCommitment, consensus.ErrCommitment},
		{"history root", at(func(x *Commitment) { x.HistoryRoot[3] ^= 1 }), ErrCommitment, consensus.ErrCommitment},
		{"roots exchanged", at(func(x *Commitment) { x.AccountRoot, x.HistoryRoot = x.HistoryRoot, x.AccountRoot }), ErrCommitment, consensus.ErrCommitment},
		{"roots of another block", at(func(x *Commitment) {
			x.AccountRoot, x.HistoryRoot = other.Commitments[1].AccountRoot, other.Commitments[1].HistoryRoot
		}), ErrCommitment, consensus.ErrCommitment},
		{"twice", func(d *Document) { d.Commitments = append(d.Commitments, d.Commitments[0]) }, ErrCommitment, nil},
		{"descending", func(d *Document) { d.Commitments = append(d.Commitments, other.Commitments[0]) }, ErrCommitment, nil},
		{"17", func(d *Document) { d.Commitments = make([]Commitment, 17) }, ErrCommitment, nil},
	})
}

func TestCorruptTransaction(t *testing.T) {
	c := smallChain(t)
	at := func(change func(*Transaction)) func(*Document) {
		return func(d *Document) { change(d.Transaction) }
	}
	checkCorruptions(t, c, fullDocument(t, c), []corruption{
		{"height 0", at(func(x *Transaction) { x.Height = 0 }), ErrTransaction, nil},
		{"the next height", at(func(x *Transaction) { x.Height++ }), ErrTransaction, consensus.ErrMerkleRoot},
		{"a height beyond", at(func(x *Transaction) { x.Height = 9 }), ErrTransaction, nil},
		{"the reward's position", at(func(x *Transaction) { x.Position = 0 }), ErrTransaction, consensus.ErrMerkleRoot},
		{"the next position", at(func(x *Transaction) { x.Position++ }), ErrTransaction, consensus.ErrMerkleRoot},
		{"a position beyond", at(func(x *Transaction) { x.Position = 8 }), ErrTransaction, types.ErrBranch},
		{"the same position, beyond", at(func(x *Transaction) { x.Position += 8 }), ErrTransaction, types.ErrBranch},
		{"the last position", at(func(x *Transaction) { x.Position = math.MaxUint32 }), ErrTransaction, types.ErrBranch},
		{"another transfer", at(func(x *Transaction) { x.Encoding = TransactionOf(c.blocks[3], 1).Encoding }), ErrTransaction, consensus.ErrMerkleRoot},
		{"no bytes", at(func(x *Transaction) { x.Encoding = nil }), ErrTransaction, consensus.ErrMerkleRoot},
		{"a byte less", at(func(x *Transaction) { x.Encoding = x.Encoding[1:] }), ErrTransaction, consensus.ErrMerkleRoot},
		{"a byte more", at(func(x *Transaction) { x.Encoding = append(x.Encoding, 0) }), ErrTransaction, consensus.ErrMerkleRoot},
		{"a node less", at(func(x *Transaction) { x.Branch = x.Branch[1:] }), ErrTransaction, nil},
		{"a node more", at(func(x *Transaction) { x.Branch = append(x.Branch, types.Hash{}) }), ErrTransaction, consensus.ErrMerkleRoot},
		{"no branch", at(func(x *Transaction) { x.Branch = nil }), ErrTransaction, types.ErrBranch},
		{"nodes exchanged", at(func(x *Transaction) { slices.Reverse(x.Branch) }), ErrTransaction, consensus.ErrMerkleRoot},
	})
}

func TestCorruptAccount(t *testing.T) {
	c := smallChain(t)
	at := func(change func(*Account)) func(*Document) {
		return func(d *Document) { change(d.Account) }
	}
	cases := []corruption{
		{"another account", at(func(x *Account) { x.Account = person(bob) }), ErrAccount, accounts.ErrProof},
		{"the system", at(func(x *Account) { x.Account = types.System }), ErrAccount, consensus.ErrSystemAccount},
		{"no account", at(func(x *Account) { x.Account = "" }), ErrAccount, consensus.ErrAccount},
		{"no proof", at(func(x *Account) { x.Proof = accounts.Proof{} }), ErrAccount, accounts.ErrProof},
		{"a sibling less", at(func(x *Account) { x.Proof.Siblings = x.Proof.Siblings[1:] }), ErrAccount, accounts.ErrProof},
		{"too many siblings", at(func(x *Account) { x.Proof.Siblings = make([][32]byte, 257) }), ErrAccount, accounts.ErrProof},
		{"proof of another", at(func(x *Account) { x.Proof = c.account(t, person(bob), x.Height).Proof }), ErrAccount, accounts.ErrProof},
		{"a height without a commitment", at(func(x *Account) { x.Height-- }), ErrAccount, nil},
		{"height 0", at(func(x *Account) { x.Height = 0 }), ErrAccount, nil},
		{"a height beyond", at(func(x *Account) { x.Height = 9 }), ErrAccount, nil},
	}
	for _, balance := range []int64{1, -1, 999_872, 999_874, -999_873, 50, math.MaxInt64, math.MinInt64} {
		cases = append(cases, corruption{
			fmt.Sprintf("balance %d", balance), at(func(x *Account) { x.Balance = balance }), ErrAccount, accounts.ErrProof,
		})
	}
	present := append(slices.Clone(cases), corruption{"absent", at(func(x *Account) { x.Balance = 0 }), ErrAccount, accounts.ErrProof})
	checkCorruptions(t, c, fullDocument(t, c), present)
	// Under the commitment of another block ann's proof does not hold, nor does
	// nobody's: the miner's balance is another.
	d := startDocument(t, c)
	checkCorruptions(t, c, d, append(cases, corruption{
		"the other commitment", at(func(x *Account) { x.Height = 6 }), ErrAccount, accounts.ErrProof,
	}, corruption{
		"a leaf beside that is the same", at(func(x *Account) { x.Proof.Other = &accounts.Leaf{Key: accounts.KeyOf(x.Account), Balance: 1} }), ErrAccount, accounts.ErrProof,
	}))
}

func TestCorruptStart(t *testing.T) {
	c := smallChain(t)
	at := func(change func(*Start)) func(*Document) {
		return func(d *Document) { change(d.Start) }
	}
	other := func(n, i uint32) history.Proof {
		p, err := history.Prove(n, i, c.read)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	checkCorruptions(t, c, startDocument(t, c), []corruption{
		{"none", func(d *Document) { d.Start = nil }, ErrHeaders, consensus.ErrPrevious},
		{"hash", at(func(s *Start) { s.Leaf.Hash[0] ^= 1 }), ErrHeaders, consensus.ErrPrevious},
		{"height 0", at(func(s *Start) { s.Leaf.Height = 0 }), ErrHeaders, nil},
		{"a height more", at(func(s *Start) { s.Leaf.Height++ }), ErrCommitment, nil},
		{"a height less", at(func(s *Start) { s.Leaf.Height-- }), ErrCommitment, consensus.ErrMerkleRoot},
		{"the last height", at(func(s *Start) { s.Leaf.Height = math.MaxUint32 }), ErrHeaders, consensus.ErrHeightLimit},
		{"a time less", at(func(s *Start) { s.Leaf.Time-- }), ErrHeaders, nil},
		{"a time before genesis", at(func(s *Start) { s.Leaf.Time = c.rules.Time - 1 }), ErrHeaders, nil},
		{"a late time", at(func(s *Start) { s.Leaf.Time = math.MaxUint32 }), ErrHeaders, consensus.ErrTimeBeforeParent},
		{"work", at(func(s *Start) { s.Leaf.Work[0] ^= 1 }), ErrHeaders, history.ErrProof},
		{"the most work", at(func(s *Start) { s.Leaf.Work = [32]byte(slices.Repeat([]byte{0xff}, 32)) }), ErrHeaders, history.ErrProof},
		{"a harder base", at(func(s *Start) { s.Leaf.NextBase-- }), ErrHeaders, consensus.ErrBits},
		{"an easier base", at(func(s *Start) { s.Leaf.NextBase = 0x207fffff }), ErrHeaders, nil},
		{"the base 0", at(func(s *Start) { s.Leaf.NextBase = 0 }), ErrHeaders, consensus.ErrCompact},
		{"no proof", at(func(s *Start) { s.Proof = history.Proof{} }), ErrHeaders, history.ErrProof},
		{"proof for another length", at(func(s *Start) { s.Proof = other(7, 5) }), ErrHeaders, history.ErrProof},
		{"proof of another block", at(func(s *Start) { s.Proof = other(6, 4) }), ErrHeaders, history.ErrProof},
		{"no proof of genesis", at(func(s *Start) { s.Genesis = history.Proof{} }), ErrHeaders, history.ErrProof},
		{"proof of block 1 for genesis", at(func(s *Start) { s.Genesis = other(6, 1) }), ErrHeaders, history.ErrProof},
		{"proof of genesis for another length", at(func(s *Start) { s.Genesis = other(7, 0) }), ErrHeaders, history.ErrProof},
		{"without the commitment", func(d *Document) { d.Commitments = d.Commitments[1:] }, ErrCommitment, nil},
	})
}

func TestCorruptBlock(t *testing.T) {
	c := smallChain(t)
	at := func(change func(*Block)) func(*Document) {
		return func(d *Document) { change(d.Block) }
	}
	checkCorruptions(t, c, startDocument(t, c), []corruption{
		{"none", func(d *Document) { d.Block = nil }, ErrTransaction, nil},
		{"a transaction of another height", func(d *Document) { d.Transaction.Height-- }, ErrTransaction, nil},
		{"another block", func(d *Document) { d.Block = c.block(t, 7, 4) }, ErrTransaction, nil},
		{"genesis", func(d *Document) { d.Block = c.block(t, 7, 0) }, ErrBlock, nil},
		{"a block of the headers", func(d *Document) { d.Block = c.block(t, 7, 6) }, ErrBlock, nil},
		{"under no commitment", func(d *Document) { d.Block = c.block(t, 5, 3) }, ErrBlock, nil},
		{"header", at(func(b *Block) { b.Header.Nonce ^= 1 }), ErrBlock, nil},
		{"header of another", at(func(b *Block) { b.Header = c.blocks[4].Header }), ErrBlock, nil},
		{"header and hash of another", at(func(b *Block) {
			b.Header, b.Leaf.Hash, b.Leaf.Time = c.blocks[4].Header, c.states[4].Hash, c.states[4].Time
		}), ErrBlock, history.ErrProof},
		{"leaf's hash", at(func(b *Block) { b.Leaf.Hash[1] ^= 1 }), ErrBlock, nil},
		{"leaf's height", at(func(b *Block) { b.Leaf.Height++ }), ErrBlock, history.ErrProof},
		{"leaf's time", at(func(b *Block) { b.Leaf.Time++ }), ErrBlock, nil},
		{"leaf's base", at(func(b *Block) { b.Leaf.NextBase++ }), ErrBlock, history.ErrProof},
		{"leaf's work", at(func(b *Block) { b.Leaf.Work[9] ^= 1 }), ErrBlock, history.ErrProof},
		{"proof for the other commitment", at(func(b *Block) { b.Proof.Len = 6 }), ErrBlock, history.ErrProof},
		{"proof of another block", at(func(b *Block) { b.Proof = c.block(t, 7, 2).Proof }), ErrBlock, history.ErrProof},
	})
	full := fullDocument(t, c)
	full.Transaction = nil
	checkCorruptions(t, c, full, []corruption{
		{"beside headers from genesis on", func(d *Document) { d.Block = c.block(t, 5, 3) }, ErrBlock, nil},
		{"genesis beside all headers", func(d *Document) { d.Block = c.block(t, 5, 0) }, ErrBlock, nil},
	})
}
