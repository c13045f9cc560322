package plan

import "fmt"

// Remedy is one line of what a person can do about a refusal. It can only be
// made from a [Way], and each way is tried by a test.
type Remedy struct {
	way  Way
	text string
}

// Way is a kind of remedy.
func (r Remedy) Way() Way { return r.way }

// String is the line as people read it.
func (r Remedy) String() string { return r.text }

// MarshalText makes a remedy a string in JSON.
func (r Remedy) MarshalText() ([]byte, error) { return []byte(r.text), nil }

// Way is a kind of remedy: a way out that a refusal may name. Done as printed
// it must leave the cluster better, so each one is carried out by a test:
// TestRemedies in internal/world/sim brings about a refusal that names it, does
// exactly what is printed, and runs the loop to success. That test fails for a
// way that it does not know.
//
// To add a remedy: add a constant here and its text to texts, use it with
// [Way.Say], and add its case to the table in
// internal/world/sim/remedies_test.go.
type Way int

// The ways.
const (
	ReadControl Way = iota
	ReadHosts
	ReachNameServer
	CompareKey
	RemoveValues
	OtherDomain
	NewerPleiad
	OwnersDirectory
	UseOriginal
	TakeOver
	PutFolderBack
	TrustCopy
	FinishDestroy
	PutMarkerBack
	DestroyUnwanted
	DeleteRecords
	SetTLSBack
	SetMembersBack
	StartOver
	ReachHost
	ReachPlace
	PlaceSays
	OtherMachines
	PutDataBack
	PutNewestBack
	LetOthersServe
	RemoveForeign
	RemoveHost
	UndoMember
	RestartByHand
	MendRest
	SetClocks
)

// texts are the words of each way, as formats.
var texts = [...]string{
	ReadControl:     "without it nothing here is known to be ours: make it readable and run the command again",
	ReadHosts:       "unknown is not absent: make the hosts readable and run the command again",
	ReachNameServer: "unknown is not absent: make the name server reachable and run the command again",
	CompareKey:      "compare the key with the server's: its name, algorithm and secret, and the clocks; then see what it may do, with pleiad doctor",
	RemoveValues:    "remove the values that are not pleiad's",
	OtherDomain:     "if the records are somebody else's, give this cluster another domain or a discoveryName",
	NewerPleiad:     "if a newer pleiad wrote it, use that",
	OwnersDirectory: "work from the state directory that made the cluster; to move it here, copy all of it and then: pleiad take-over",
	UseOriginal:     "work from the original",
	TakeOver:        "if this one is to take the place of the original: pleiad take-over",
	PutFolderBack:   "put the original folder back, if it was moved",
	TrustCopy:       "if no member ran when the copy was made: pleiad take-over && pleiad up",
	FinishDestroy:   "finish that first: pleiad destroy",
	PutMarkerBack:   "%s",
	DestroyUnwanted: "if the cluster is not wanted: pleiad destroy",
	DeleteRecords:   "delete these records if nobody needs them",
	SetTLSBack:      "set tls back, or make a new cluster beside this one and move the data",
	SetMembersBack:  "set members: %d",
	StartOver:       "start over: pleiad destroy && pleiad up",
	ReachHost:       "unknown is not absent: make the host reachable and run the command again",
	ReachPlace:      "unknown is not absent: make it reachable, or take it off the spec if it is gone for good",
	PlaceSays:       "%s",
	OtherMachines:   "give the cluster other machines, or remove by hand what nobody needs there",
	PutDataBack:     "put its own data directory back, if it was moved",
	PutNewestBack:   "put its newest data directory back, if it was moved",
	LetOthersServe:  "replacing a member is not part of this version; while the others are a quorum, the cluster serves",
	RemoveForeign:   "remove what does not belong there, then run the command again",
	RemoveHost:      "look at what such a host holds, and remove it by hand if nobody needs it",
	UndoMember:      "take it off again: pleiad etcdctl -- member remove %s",
	RestartByHand:   "%s",
	MendRest:        "mend the rest first",
	SetClocks:       "set the clocks right, here or there, and run the command again",
}

// Ways are all there are.
func Ways() []Way {
	out := make([]Way, len(texts))
	for i := range out {
		out[i] = Way(i)
	}
	return out
}

// String is the text of a way, with a mark where each case has its own words.
func (w Way) String() string { return texts[w] }

// Say is the way with the words of one case.
func (w Way) Say(words ...any) Remedy { return Remedy{w, fmt.Sprintf(texts[w], words...)} }

// lines are several lines of one way: commands stand alone.
func (w Way) lines(lines ...string) []Remedy {
	out := make([]Remedy, len(lines))
	for i, line := range lines {
		out[i] = w.Say(line)
	}
	return out
}

// remedies are ways that need no words of their own.
func remedies(ways ...Way) []Remedy {
	out := make([]Remedy, len(ways))
	for i, w := range ways {
		out[i] = w.Say()
	}
	return out
}
