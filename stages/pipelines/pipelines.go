// Package pipelines reads the pipelines file: which stages, in which order, make messages of
// the jobs of which feed, and where they are published.
//
// The file is strict. Every error says where it is, what is wrong, and what may have been meant.
package pipelines

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"pushglue/glue"
	"pushglue/stages"
)

// Publishers has every publisher's constructor under the name that pipelines files use.
// A constructor checks its options and connects to nothing.
type Publishers map[string]func(stages.Options) (glue.Publisher, error)

// ChannelUser is a publisher that sends to channels, so that a stage must give some.
type ChannelUser interface {
	NeedsChannels()
}

// maxSize bounds a pipelines file, in bytes: more is some other file, on which the YAML parser
// would work for minutes.
const maxSize = 1 << 20

// Load reads the pipelines file at path.
func Load(path string, publishers Publishers) ([]glue.Pipeline, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read pipelines file: %w", err)
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("read pipelines file: %s has %d bytes, more than %d", path, info.Size(), maxSize)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read pipelines file: %w", err)
	}
	return Parse(path, text, publishers)
}

// Parse reads the text of a pipelines file; name is what errors call it. It reports all the
// errors that it finds.
func Parse(name string, text []byte, publishers Publishers) ([]glue.Pipeline, error) {
	f := &file{name: name, publishers: publishers, made: map[string]glue.Stage{}}
	pipelines := f.parse(text)
	if err := errors.Join(f.errs...); err != nil {
		return nil, err
	}
	return pipelines, nil
}

// file is a pipelines file that is being read.
type file struct {
	name       string
	publishers Publishers
	made       map[string]glue.Stage // stages by name and options: what is the same is shared
	errs       []error
}

// fail notes an error at the place of node; a nil node is the file as a whole.
func (f *file) fail(node ast.Node, format string, args ...any) {
	f.errs = append(f.errs, f.at(node, fmt.Errorf(format, args...)))
}

func (f *file) at(node ast.Node, err error) error {
	if node == nil || node.GetToken() == nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	p := node.GetToken().Position
	return fmt.Errorf("%s:%d:%d: %w", f.name, p.Line, p.Column, err)
}

func (f *file) parse(text []byte) []glue.Pipeline {
	doc, err := parser.ParseBytes(bytes.TrimPrefix(text, []byte("\ufeff")), 0)
	if err != nil {
		f.errs = append(f.errs, f.decodeError(nil, err, nil))
		return nil
	}
	if len(doc.Docs) != 1 || doc.Docs[0].Body == nil {
		f.fail(nil, "want one YAML document with the key pipelines")
		return nil
	}
	if alias := findAlias(doc.Docs[0].Body); alias != nil {
		f.fail(alias, "anchors, aliases and merges are not supported: write it out")
		return nil
	}
	fields := f.fields(doc.Docs[0].Body, "pipelines")
	list, ok := fields["pipelines"].(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 {
		f.fail(doc.Docs[0].Body, "pipelines: want a list of at least one pipeline")
		return nil
	}
	var pipelines []glue.Pipeline
	names := map[string]bool{}
	for _, node := range list.Values {
		p := f.pipeline(node)
		if p.Name != "" && names[p.Name] {
			f.fail(node, "two pipelines are called %q", p.Name)
		}
		names[p.Name] = true
		pipelines = append(pipelines, p)
	}
	f.checkShadows(list, pipelines)
	f.checkWindows(list, pipelines)
	return pipelines
}

// checkShadows makes sure that somebody's verdict counts for each feed.
func (f *file) checkShadows(at ast.Node, pipelines []glue.Pipeline) {
	counts := map[string]bool{}
	for _, p := range pipelines {
		counts[p.Feed] = counts[p.Feed] || !p.Shadow
	}
	for _, feed := range slices.Sorted(maps.Keys(counts)) {
		if !counts[feed] {
			f.fail(at, "feed %q has only shadow pipelines; one must count", feed)
		}
	}
}

func (f *file) pipeline(node ast.Node) glue.Pipeline {
	var p glue.Pipeline
	fields := f.fields(node, "name", "feed", "shadow", "stages", "publish", "coalesce")
	if fields == nil {
		return p
	}
	p.Name = f.word(fields["name"])
	p.Feed = f.word(fields["feed"])
	f.decode(fields["shadow"], &p.Shadow)
	for _, key := range []string{"name", "feed", "publish"} {
		if fields[key] == nil {
			f.fail(node, "pipeline %q has no %s", p.Name, key)
		}
	}
	for _, word := range []string{p.Name, p.Feed} {
		if word != "" && glue.CheckToken(word) != nil {
			f.fail(node, "%q: a name is up to %d bytes of visible ASCII", word, glue.MaxTokenLen)
		}
	}
	var end *sequence
	p.Stages, end = f.stages(fields["stages"])
	if fields["publish"] != nil {
		p.Target, p.Publisher = f.publisher(fields["publish"])
		if _, needs := p.Publisher.(ChannelUser); needs && !end.hasChannels && len(f.errs) == 0 {
			f.fail(fields["publish"], "pipeline %q publishes to channels but has no stage that gives any, such as route", p.Name)
		}
	}
	if hasBare(node, "coalesce") {
		f.fail(node, "pipeline %q: coalesce has no value; {} is the defaults", p.Name)
	}
	p.Coalesce = f.coalesce(fields["coalesce"], end, p.Publisher)
	return p
}

// stages reads a list of stages and tells what they make of a message. A missing list is empty.
func (f *file) stages(node ast.Node) (named []glue.NamedStage, end *sequence) {
	seen := new(sequence)
	if node == nil {
		return nil, seen
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		f.fail(node, "stages: want a list of stages")
		return nil, seen
	}
	for _, entry := range list.Values {
		stage := f.stage(entry)
		if err := seen.add(stage); err != nil {
			f.fail(entry, "%w", err)
		}
		named = append(named, stage)
	}
	return named, seen
}

// sequence is what the stages so far have made of a message.
type sequence struct {
	hasObject, hasChannels bool
	taker, keeper, last    string // the stage that took the object, the one that keeps the channels, and the one that must be the last
}

// add adds a stage, or says why it cannot work here.
func (s *sequence) add(stage glue.NamedStage) error {
	if s.last != "" {
		return fmt.Errorf("stage %s stands behind the stage %s, which must be the last one", stage.Name, s.last)
	}
	if _, last := stage.Stage.(stages.LastStage); last {
		s.last = stage.Name
	}
	if user, is := stage.Stage.(stages.ObjectUser); is && user.NeedsObject() && !s.hasObject {
		if s.taker != "" {
			return fmt.Errorf("stage %s works on a JSON object: put it before the stage %s", stage.Name, s.taker)
		}
		return fmt.Errorf("stage %s works on a JSON object: put the stage json before it", stage.Name)
	}
	if _, gives := stage.Stage.(stages.ObjectGiver); gives {
		if s.taker != "" {
			return fmt.Errorf("stage %s cannot read what the stage %s has made: put it before that", stage.Name, s.taker)
		}
		s.hasObject = true
	}
	if _, takes := stage.Stage.(stages.ObjectTaker); takes {
		s.hasObject, s.taker = false, stage.Name
	}
	if _, gives := stage.Stage.(stages.ChannelGiver); gives {
		if s.keeper != "" {
			return fmt.Errorf("stage %s would send messages elsewhere than the stage %s before it says: put it before that", stage.Name, s.keeper)
		}
		s.hasChannels = true
	}
	if _, changes := stage.Stage.(stages.ChannelChanger); changes {
		if s.keeper != "" {
			return fmt.Errorf("stage %s would send messages elsewhere than the stage %s before it says", stage.Name, s.keeper)
		}
		if !s.hasChannels {
			return fmt.Errorf("stage %s sends late messages elsewhere: put a stage that gives channels, such as route, before it", stage.Name)
		}
	}
	if _, keeps := stage.Stage.(stages.ChannelKeeper); keeps {
		s.keeper = stage.Name
	}
	return nil
}

// stage reads a stage: its name, or its name with options. Stages of the same name and options are
// one stage, so that pipelines which begin alike share its work, unless it is one that cannot be shared.
func (f *file) stage(entry ast.Node) glue.NamedStage {
	name, at, options := f.named(entry, "stage")
	if name == "" {
		return glue.NamedStage{}
	}
	construct, ok := stages.Constructors[name]
	if !ok {
		f.fail(at, "unknown stage %q%s", name, didYouMean(name, slices.Sorted(maps.Keys(stages.Constructors))))
		return glue.NamedStage{Name: name}
	}
	key := name + " " + optionsText(options)
	stage, ok := f.made[key]
	if !ok {
		var err error
		if stage, err = construct(f.options(at, options)); err != nil {
			f.errs = append(f.errs, f.placed(at, "stage "+name, err))
			return glue.NamedStage{Name: name, Stage: stage}
		}
		if _, unshared := stage.(stages.Unshared); !unshared {
			f.made[key] = stage
		}
	}
	return glue.NamedStage{Name: name, Stage: stage}
}

func (f *file) publisher(entry ast.Node) (string, glue.Publisher) {
	name, at, options := f.named(entry, "publisher")
	if name == "" {
		return "", nil
	}
	construct, ok := f.publishers[name]
	if !ok {
		f.fail(at, "unknown publisher %q%s", name, didYouMean(name, slices.Sorted(maps.Keys(f.publishers))))
		return name, nil
	}
	publisher, err := construct(f.options(at, options))
	if err != nil {
		f.errs = append(f.errs, f.placed(at, "publisher "+name, err))
	}
	return name, publisher
}
