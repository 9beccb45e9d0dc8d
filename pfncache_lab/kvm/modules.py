"""modules.py: the modules whose functions are linked by name: `link(MODULES, {...})`."""

from types import ModuleType

from . import (
    dirty,
    ipi,
    kvm_host,
    kvm_main,
    kvm_mm,
    kvm_types,
    memory_region,
    memslots,
    pfn,
    pfncache,
    requests,
    vcpu,
    vm,
)

MODULES: tuple[ModuleType, ...] = (
    kvm_types,
    kvm_host,
    memslots,
    memory_region,
    pfn,
    kvm_main,
    kvm_mm,
    ipi,
    requests,
    vcpu,
    dirty,
    vm,
    pfncache,
)
