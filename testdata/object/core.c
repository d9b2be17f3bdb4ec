// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// CO-RE relocations of every kind that clang 14 knows.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))

struct mm_struct___flavour {
  unsigned long start_code;
} CORE;

struct task_struct {
  int pid, tgid;
  struct task_struct *group_leader;
  char comm[16];
  struct mm_struct___flavour *mm;
  unsigned before : 1;
  unsigned in_execve : 1;
  int nosuch;
} CORE;

enum bpf_map_type___flavour {
  BPF_MAP_TYPE_ARRAY___flavour = 77,
  BPF_NOSUCH___flavour = 5,
};

struct nosuch_struct {
  int a;
} CORE;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} out SEC(".maps");

SEC("tracepoint/x/y") int entry(void *ctx) {
  struct task_struct *task = (void *)bpf_get_current_task();
  __u32 key = 0;
  __u64 sum = BPF_CORE_READ(task, pid);
  char letter;
  sum += BPF_CORE_READ(task, group_leader, tgid);
  sum += BPF_CORE_READ(task, mm, start_code);
  sum += BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
  sum += bpf_core_field_exists(task->nosuch) ? 1 : 2;
  if (bpf_core_field_exists(task->nosuch)) sum += BPF_CORE_READ(task, nosuch);
  sum += bpf_core_field_size(task->comm);
  sum += bpf_core_type_exists(struct nosuch_struct);
  sum += bpf_core_type_exists(struct task_struct);
  sum += bpf_core_type_size(struct task_struct);
  sum += bpf_core_type_id_kernel(struct task_struct) != 0;
  sum += bpf_core_enum_value(enum bpf_map_type___flavour,
                             BPF_MAP_TYPE_ARRAY___flavour);
  sum += bpf_core_enum_value_exists(enum bpf_map_type___flavour,
                                    BPF_NOSUCH___flavour);
  bpf_core_read(&letter, 1, &task->comm[5]);
  sum += letter;
  bpf_map_update_elem(&out, &key, &sum, 0);
  return 0;
}

char _license[] SEC("license") = "GPL";
