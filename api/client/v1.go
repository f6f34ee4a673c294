package client

import (
	"encoding/json"

	"cairn/types"
)

// The JSON of /v1. Amounts, fees and balances are in base units; a fee rate is in
// base units for 1,000 bytes of encoding; times are Unix seconds. What may pass
// 2^53 (salts, work) is decimal text.

// Network is the answer to GET /v1/network: the rules that the genesis block commits
// to, and what this node asks for besides.
type Network struct {
	Name            string     `json:"name" doc:"Name of the network"`
	ChainID         types.Hash `json:"chain_id" doc:"Hash of the genesis block, which commits to every rule"`
	Symbol          string     `json:"symbol" doc:"Of the currency, for display"`
	Decimals        uint8      `json:"decimals" doc:"A coin is 10^decimals base units"`
	AddressPrefix   string     `json:"address_prefix" doc:"What accounts begin with, where there are signatures"`
	Time            uint32     `json:"time" doc:"Of the genesis block"`
	Bits            string     `json:"bits" doc:"Easiest target, compact form, 8 hex digits"`
	BlockInterval   uint32     `json:"block_interval" doc:"Seconds that a block should take"`
	HalfLife        uint32     `json:"half_life" doc:"Seconds; 0 keeps the difficulty fixed"`
	Reward          uint64     `json:"reward" doc:"Base units for each block, before halvings"`
	HalvingInterval uint32     `json:"halving_interval" doc:"Blocks; 0 never halves"`
	MaxBlockSize    uint32     `json:"max_block_size" doc:"Bytes"`
	TxLifetime      uint32     `json:"tx_lifetime" doc:"Blocks that a transfer may stay valid"`
	MinBalance      uint64     `json:"min_balance" doc:"Least balance, but 0, that a transfer may leave an account"`
	Signatures      bool       `json:"signatures" doc:"Accounts are keys, and transfers are signed"`
	CreditLimit     uint64     `json:"credit_limit" doc:"How far below 0 a balance may go"`
	Policy          Policy     `json:"policy" doc:"What this node asks for; not consensus"`
}

// Policy is what a node asks for beyond the rules of its network.
type Policy struct {
	MinFeeRate   uint64 `json:"min_fee_rate" doc:"Least fee of a transfer, in base units for 1,000 bytes"`
	PerAccount   int    `json:"per_account" doc:"Most transfers of one sender that may wait; 0 is no limit"`
	MaxTransfers int    `json:"max_transfers" doc:"Most transfers that may wait"`
	MaxPoolBytes int64  `json:"max_pool_bytes" doc:"Most memory for transfers that wait"`
}

// Status is the answer to GET /v1/status.
type Status struct {
	Network     string       `json:"network" doc:"Name from the genesis file"`
	ChainID     types.Hash   `json:"chain_id" doc:"Hash of the genesis block"`
	Height      uint32       `json:"height" doc:"Of the best chain"`
	Tip         types.Hash   `json:"tip" doc:"Hash of the best block"`
	Work        string       `json:"work" doc:"Cumulative work of the best chain, a decimal number"`
	Time        uint32       `json:"time" doc:"Of the best block"`
	HashRate    float64      `json:"hash_rate" doc:"Hashes for each second that the latest blocks took; 0 where that cannot be told"`
	Pool        PoolStatus   `json:"pool"`
	Sync        SyncStatus   `json:"sync"`
	Disk        DiskStatus   `json:"disk"`
	Neighbours  int          `json:"neighbours" doc:"How many are registered"`
	Peers       int          `json:"peers" doc:"How many are connected"`
	Clock       *ClockStatus `json:"clock,omitempty" doc:"Absent until a neighbour has answered"`
	Version     string       `json:"version"`
	NodeAddress string       `json:"node_address" doc:"Account that is paid for blocks mined here; empty when there is none"`
	Uptime      int64        `json:"uptime" doc:"Seconds"`
}

// PoolStatus counts the transfers that wait for a block.
type PoolStatus struct {
	Transfers int   `json:"transfers"`
	Bytes     int64 `json:"bytes" doc:"Of memory"`
}

// SyncStatus says how far a node is behind its neighbours.
type SyncStatus struct {
	Running bool   `json:"running" doc:"Blocks are being fetched"`
	Height  uint32 `json:"height" doc:"Of the best valid headers that were seen; the node's own height when it has their blocks"`
}

// DiskStatus is the disk that holds a node's data.
type DiskStatus struct {
	Used int64 `json:"used" doc:"Bytes of the node's data"`
	Free int64 `json:"free" doc:"Bytes left on its disk; -1 where that cannot be told"`
}

// ClockStatus compares a node's clock with its neighbours'.
type ClockStatus struct {
	Offset     float64 `json:"offset" doc:"Median of how many seconds the neighbours' clocks are ahead, to about a second"`
	Neighbours int     `json:"neighbours" doc:"How many clocks that is"`
}

// Page is a part of a list. Next is the cursor of the part after it, "" at the end.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

// TransferData is a transfer as it is signed and hashed.
type TransferData struct {
	ID        types.Hash `json:"id"`
	Sender    string     `json:"sender"`
	Recipient string     `json:"recipient"`
	Amount    uint64     `json:"amount"`
	Fee       uint64     `json:"fee"`
	Expiry    uint32     `json:"expiry" doc:"Height of the last block that may hold it"`
	Salt      string     `json:"salt" doc:"Decimal digits"`
	Memo      string     `json:"memo"`
	MemoHex   string     `json:"memo_hex,omitempty" doc:"The memo's bytes, where they are no text"`
	Signature string     `json:"signature" doc:"128 hex digits; empty on a network without signatures"`
	Size      int        `json:"size" doc:"Bytes of its encoding"`
}

// BlockData is a block.
type BlockData struct {
	Hash          types.Hash     `json:"hash"`
	Height        uint32         `json:"height"`
	Previous      types.Hash     `json:"previous"`
	Version       string         `json:"version" doc:"8 hex digits"`
	MerkleRoot    types.Hash     `json:"merkle_root"`
	Time          uint32         `json:"time"`
	Bits          string         `json:"bits" doc:"Target, compact form, 8 hex digits"`
	Nonce         uint32         `json:"nonce"`
	Work          string         `json:"work" doc:"Of all blocks up to this one, a decimal number"`
	Size          int            `json:"size" doc:"Bytes of its encoding"`
	Best          bool           `json:"best" doc:"It is on the best chain"`
	Confirmations uint32         `json:"confirmations" doc:"Blocks of the best chain from this one on; 0 when it is not on it"`
	Reward        RewardData     `json:"reward"`
	Fees          uint64         `json:"fees" doc:"Of all its transfers; part of the reward"`
	TransferCount int            `json:"transfer_count"`
	Transfers     []TransferData `json:"transfers" nullable:"false" doc:"The first 100; /v1/blocks/{block}/transfers has all"`
}

// RewardData is what a block pays its miner.
type RewardData struct {
	ID         types.Hash `json:"id"`
	Amount     uint64     `json:"amount"`
	Recipient  string     `json:"recipient"`
	Extra      string     `json:"extra" doc:"The miner's own bytes, in hex"`
	Commitment string     `json:"commitment" doc:"To all balances after the block and all blocks before it, in hex"`
}

// State says what became of a transfer.
type State string

// The states of a transfer.
const (
	Pending   State = "pending"
	Confirmed State = "confirmed"
	Lapsed    State = "expired" // no block of the best chain can hold it any more
	Unknown   State = "unknown" // it is not known here, or no longer
)

// TransactionData is a transfer and what became of it.
type TransactionData struct {
	ID            types.Hash    `json:"id"`
	Status        State         `json:"status" enum:"pending,confirmed,expired,unknown"`
	Height        uint32        `json:"height" doc:"Of the best chain when this was so"`
	Confirmations uint32        `json:"confirmations" doc:"Blocks of the best chain from the one that holds it on"`
	Block         *Place        `json:"block,omitempty" doc:"What holds it, when confirmed"`
	Waiting       *Waiting      `json:"waiting,omitempty" doc:"Why it is not in a block yet, when pending"`
	Dropped       *Problem      `json:"dropped,omitempty" doc:"Why it is no longer pending, when that was lately"`
	Transfer      *TransferData `json:"transfer,omitempty" doc:"Absent when it is unknown"`
}

// Place is where in the best chain a transfer or a reward is.
type Place struct {
	Hash     types.Hash `json:"hash"`
	Height   uint32     `json:"height"`
	Time     uint32     `json:"time"`
	Position uint32     `json:"position" doc:"In the block's transfers, from 0"`
}

// Waiting says what stands between a pending transfer and a block.
type Waiting struct {
	BytesAhead  int      `json:"bytes_ahead" doc:"Of transfers that pay more for each byte; counted up to ten blocks"`
	BlocksAhead int      `json:"blocks_ahead" doc:"How many blocks those fill"`
	Problem     *Problem `json:"problem,omitempty" doc:"The rule that keeps it out of the next block as things are"`
}

// Submission is the body of POST /v1/transactions and its kin.
type Submission struct {
	Sender    string `json:"sender"`
	Recipient string `json:"recipient"`
	Amount    uint64 `json:"amount" maximum:"9007199254740991"`
	Fee       uint64 `json:"fee,omitempty" maximum:"9007199254740991"`
	Expiry    uint32 `json:"expiry,omitempty" doc:"Height of the last block that may hold it; left to the node where nothing is signed"`
	Salt      string `json:"salt,omitempty" doc:"Decimal digits; left to the node where nothing is signed"`
	Memo      string `json:"memo,omitempty" doc:"At most 255 bytes"`
	MemoHex   string `json:"memo_hex,omitempty" doc:"The memo's bytes in hex, where they are no text"`
	Signature string `json:"signature,omitempty" doc:"128 hex digits, on a network with signatures"`
}

// Accepted is what a node answers for a transfer that it took, or would take.
type Accepted struct {
	ID         types.Hash `json:"id"`
	Status     State      `json:"status" enum:"pending,confirmed" doc:"confirmed when a block held it already"`
	BlockIndex uint32     `json:"block_index" doc:"Height of the earliest block that could hold it when it was first submitted"`
}

// Checked is the answer to POST /v1/transactions/check.
type Checked struct {
	ID         types.Hash `json:"id"`
	Acceptable bool       `json:"acceptable"`
	Size       int        `json:"size" doc:"Bytes of its encoding"`
	LeastFee   uint64     `json:"least_fee" doc:"That this node takes for a transfer of this size"`
	Problem    *Problem   `json:"problem,omitempty" doc:"Why it would be refused"`
}

// StreamAnswer is the answer to one transfer of a stream: accepted, or a problem.
type StreamAnswer struct {
	*Accepted
	Problem *Problem `json:"problem,omitempty"`
}

// AccountData is the answer to GET /v1/accounts/{account}.
type AccountData struct {
	Account   string         `json:"account"`
	Balance   int64          `json:"balance" doc:"Confirmed by the best block"`
	Spendable uint64         `json:"spendable" doc:"What it can send now, fee included: balance and credit less what its pending transfers take. Pending income does not count"`
	Pending   AccountPending `json:"pending"`
	Height    uint32         `json:"height" doc:"Of the best block"`
	Block     types.Hash     `json:"block" doc:"Hash of the best block"`
}

// AccountPending is what the pending transfers of an account come to.
type AccountPending struct {
	Outgoing          int64 `json:"outgoing" doc:"Fees included"`
	OutgoingTransfers int   `json:"outgoing_transfers"`
	Incoming          int64 `json:"incoming" doc:"Of at most 10,000 transfers"`
	IncomingTransfers int   `json:"incoming_transfers"`
}

// AccountEntry is one line of an account's history.
type AccountEntry struct {
	Kind          string        `json:"kind" enum:"transfer,reward"`
	ID            types.Hash    `json:"id"`
	Change        int64         `json:"change" doc:"What it did to the balance"`
	Block         Place         `json:"block"`
	Confirmations uint32        `json:"confirmations"`
	Transfer      *TransferData `json:"transfer,omitempty" doc:"Absent for a reward"`
}

// PendingTransfer is a transfer that waits.
type PendingTransfer struct {
	FeeRate  uint64       `json:"fee_rate" doc:"Base units for 1,000 bytes"`
	Transfer TransferData `json:"transfer"`
}

// Fees is the answer to GET /v1/fees.
type Fees struct {
	Least     uint64        `json:"least" doc:"Fee rate that this node asks for"`
	Estimates []FeeEstimate `json:"estimates" nullable:"false"`
	Bands     []FeeBand     `json:"bands" nullable:"false" doc:"The pool cut into blocks, the best first"`
	Beyond    int           `json:"beyond" doc:"Transfers behind the bands"`
}

// FeeEstimate is the least fee rate for a place in one of the next blocks.
type FeeEstimate struct {
	Blocks uint32 `json:"blocks"`
	Rate   uint64 `json:"rate" doc:"Base units for 1,000 bytes"`
}

// FeeBand is a part of the pool that fills a block, or the last.
type FeeBand struct {
	Lowest    uint64 `json:"lowest" doc:"Fee rate"`
	Highest   uint64 `json:"highest" doc:"Fee rate"`
	Transfers int    `json:"transfers"`
	Bytes     int    `json:"bytes" doc:"Of encodings"`
}

// NeighbourData is a registered neighbour and what came of asking it last.
type NeighbourData struct {
	Address string `json:"address" doc:"Base URL"`
	Result  string `json:"result,omitempty" doc:"One word; absent until it was asked"`
	Detail  string `json:"detail,omitempty" doc:"A sentence for people"`
}

// NeighbourAddress is the body of POST /v1/neighbours.
type NeighbourAddress struct {
	Address string `json:"address" doc:"Base URL, http or https" example:"http://192.168.1.7:5000"`
}

// PeerList is the answer to GET /v1/peers.
type PeerList struct {
	ID        string     `json:"id" doc:"The node's own peer ID"`
	Addresses []string   `json:"addresses" nullable:"false" doc:"Multiaddrs under which peers reach the node"`
	Peers     []PeerData `json:"peers" nullable:"false" doc:"Those that are connected; a node has so few that they come in one piece"`
}

// PeerData is a node that this one is connected to.
type PeerData struct {
	ID        string  `json:"id"`
	Address   string  `json:"address" doc:"Multiaddr of the connection"`
	Direction string  `json:"direction" enum:"in,out" doc:"in when the peer called"`
	Agent     string  `json:"agent" doc:"What it says it runs"`
	Height    uint32  `json:"height" doc:"Of its chain, as it said last"`
	Work      string  `json:"work" doc:"Likewise, a decimal number"`
	Score     float64 `json:"score" doc:"0 is neutral; below 0 it did wrong"`
	Latency   float64 `json:"latency_ms" doc:"Of a round trip; 0 until measured"`
	Connected int64   `json:"connected" doc:"Since when"`
}

// The directions of a connection.
const (
	DirectionIn  = "in"
	DirectionOut = "out"
)

// PeerAddress is the body of POST /v1/peers.
type PeerAddress struct {
	Address string `json:"address" doc:"Multiaddr with the peer's ID" example:"/ip4/192.168.1.7/tcp/6000/p2p/12D3KooWSHj3RRbBjD15g6wekV8y3mm57Pobmps2g2WJm6F67Lay"`
}

// NewBan is the body of POST /v1/bans.
type NewBan struct {
	ID      string `json:"id" doc:"Of the peer"`
	Reason  string `json:"reason,omitempty" doc:"For people" maxLength:"200"`
	Seconds uint32 `json:"seconds" doc:"How long" minimum:"1"`
}

// BanData is a peer that is not talked to.
type BanData struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
	Until  int64  `json:"until"`
}

// InviteData is the answer to GET /v1/invite.
type InviteData struct {
	Invite string `json:"invite" doc:"What cairn join takes"`
	Closed bool   `json:"closed" doc:"Whoever joins needs the network's key file too"`
}

// Scope is what a token allows. Each contains those before it.
type Scope string

// The scopes.
const (
	ScopeRead    Scope = "read"    // to read, without the limit on strangers' requests
	ScopeSubmit  Scope = "submit"  // also to submit transfers
	ScopeOperate Scope = "operate" // also to mine, sync, change neighbours, peers and tokens, and spend from the node's wallet
)

// NewToken is the body of POST /v1/tokens.
type NewToken struct {
	Name  string `json:"name" doc:"1 to 64 characters" minLength:"1" maxLength:"64"`
	Scope Scope  `json:"scope" enum:"read,submit,operate"`
}

// TokenData is a token without its secret.
type TokenData struct {
	Name    string `json:"name"`
	Scope   Scope  `json:"scope" enum:"read,submit,operate"`
	Created int64  `json:"created"`
	Token   string `json:"token,omitempty" doc:"The secret; only in the answer that made it"`
}

// Event is one event of GET /v1/events. Which fields are there depends on Type.
type Event struct {
	// Type is one of the constants below.
	Type string `json:"-"`
	// Cursor is the hash of the block that the reader is at after the event: what
	// the next stream resumes after. It is that of the last block event.
	Cursor   types.Hash    `json:"-"`
	Block    *EventBlock   `json:"block,omitempty"`
	Transfer *TransferData `json:"transfer,omitempty"`
	Reason   *Problem      `json:"reason,omitempty" doc:"Why it was dropped"`
}

// EventBlock is a block of an event: what it is about, not its transfers.
type EventBlock struct {
	Hash     types.Hash `json:"hash"`
	Previous types.Hash `json:"previous"`
	Height   uint32     `json:"height"`
	Time     uint32     `json:"time"`
	Work     string     `json:"work"`
}

// The types of events.
const (
	BlockApplied    = "block_applied"
	BlockReverted   = "block_reverted"
	TransferPooled  = "transfer_pooled"
	TransferDropped = "transfer_dropped" // it left the pool, but for no block
	PoolReset       = "pool_reset"       // forget the pool: all of it follows, and then what changes
)

// Genesis is the answer to GET /v1/genesis: the network's genesis file.
type Genesis = json.RawMessage
