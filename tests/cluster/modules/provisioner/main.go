// Command provisioner gives the test cluster dynamic volumes: one directory below --directory per claim, as a `local`
// PersistentVolume bound to the node that the scheduler chose. `local` rather than `hostPath`, because the kubelet
// applies a pod's fsGroup to `local` volumes only, and that is what lets a non-root worker write to its volume.
//
// It is for the tests' single node: whoever runs it must see the node's file system. Sizes are not enforced.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// provisionerName is what a StorageClass names as its provisioner.
const provisionerName = "crosstie.test/local"

// directories provisions each volume as a directory of its own.
type directories struct {
	// parent is the absolute path that all volumes live directly in.
	parent string
}

var _ controller.Provisioner = directories{}

// Provision makes the directory of a claim and describes it as a volume of the selected node.
func (d directories) Provision(_ context.Context, options controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	if options.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished, fmt.Errorf("the claim %s/%s has no node yet: its StorageClass needs volumeBindingMode WaitForFirstConsumer",
			options.PVC.Namespace, options.PVC.Name)
	}
	path := filepath.Join(d.parent, options.PVName)
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, controller.ProvisioningFinished, fmt.Errorf("make the volume's directory: %w", err)
	}
	return volume(options, path), controller.ProvisioningFinished, nil
}

// volume describes the directory at path as the volume that options ask for.
func volume(options controller.ProvisionOptions, path string) *v1.PersistentVolume {
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: options.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource:        v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity:                  onlyOn(options.SelectedNodeName),
		},
	}
}

// onlyOn keeps a volume's pods on the node that has its directory.
func onlyOn(node string) *v1.VolumeNodeAffinity {
	return &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchExpressions: []v1.NodeSelectorRequirement{{
			Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{node},
		}},
	}}}}
}

// Delete removes the directory of a released volume. It refuses paths that Provision cannot have made.
func (d directories) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	if volume.Spec.Local == nil || volume.Spec.Local.Path != filepath.Join(d.parent, volume.Name) {
		return &controller.IgnoredError{Reason: fmt.Sprintf("the volume %s is no directory in %s", volume.Name, d.parent)}
	}
	if err := os.RemoveAll(volume.Spec.Local.Path); err != nil {
		return fmt.Errorf("remove the volume's directory: %w", err)
	}
	return nil
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file that says how to reach the API server")
	directory := flag.String("directory", "", "absolute path of the folder that holds the volumes")
	flag.Parse()
	if err := run(*kubeconfig, *directory); err != nil {
		fmt.Fprintf(os.Stderr, "provisioner: %v\n", err)
		os.Exit(1)
	}
}

// run provisions until the process is told to end.
func run(kubeconfig, directory string) error {
	if kubeconfig == "" || !filepath.IsAbs(directory) {
		return errors.New("needs --kubeconfig FILE and --directory ABSOLUTE-PATH")
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("make the folder of the volumes: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client from %s: %w", kubeconfig, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	controller.NewProvisionController(ctx, client, provisionerName, directories{parent: filepath.Clean(directory)},
		controller.LeaderElection(false)).Run(ctx)
	return nil
}
