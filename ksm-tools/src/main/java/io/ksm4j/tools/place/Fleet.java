// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.sketch.Sample;
import io.ksm4j.tools.sketch.Sketch;
import io.ksm4j.tools.sketch.Sketch.Machine;
import io.ksm4j.tools.sketch.SketchFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The processes to place. If they have too many contents for the memory of this JVM, all samples are made smaller. */
final class Fleet {

    private static final String SUFFIX = ".sketch";

    private final long maxContents;
    private final List<Member> members = new ArrayList<>();
    private Machine machine;
    private long contents;
    private long threshold = Sample.ALL;

    /**
     * A process.
     *
     * @param name the name of its file, with the PID if the file has several
     * @param file the file with its sketch
     * @param sketch its sketch, perhaps with a smaller sample
     */
    record Member(String name, Path file, Sketch sketch) {}

    private Fleet(Machine machine, long maxContents) {
        this.machine = machine;
        this.maxContents = maxContents;
    }

    /**
     * Reads sketches.
     *
     * @param files one or more
     * @param maxContents how many contents to keep at most
     * @throws CommandFailedException if a file is not a sketch, or they cannot be compared
     * @throws IOException if a file cannot be read
     */
    static Fleet read(List<Path> files, long maxContents) throws IOException {
        Path first = files.get(0);
        Fleet fleet = new Fleet(SketchFile.read(first, sketch -> {}), maxContents);
        boolean isUnique = files.stream().map(Path::getFileName).distinct().count() == files.size();
        for (Path file : files) {
            fleet.add(file, first, String.valueOf(isUnique ? file.getFileName() : file));
        }
        if (fleet.members.isEmpty()) {
            throw new CommandFailedException("no process in " + first + ": write sketches of running processes");
        }
        return fleet;
    }

    private void add(Path file, Path first, String fileName) throws IOException {
        String name = fileName.endsWith(SUFFIX) && fileName.length() > SUFFIX.length()
                ? fileName.substring(0, fileName.length() - SUFFIX.length())
                : fileName;
        int start = members.size();
        Machine other = SketchFile.read(file, sketch -> {
            members.add(new Member(name, file, sketch.below(threshold)));
            contents += members.get(members.size() - 1).sketch.sample().size();
            while (contents > maxContents) {
                lowerThreshold();
            }
        });
        if (other.key() != machine.key()) {
            throw new CommandFailedException(first + " and " + file
                    + " were written with different keys: write all sketches with the same --key-file");
        }
        if (other.pageSize() != machine.pageSize()) {
            throw new CommandFailedException(first + " and " + file + " are from machines with different page sizes,"
                    + " whose pages cannot merge: place them separately");
        }
        machine = new Machine(
                machine.key(),
                machine.pageSize(),
                Math.min(machine.maxPageSharing(), other.maxPageSharing()),
                machine.useZeroPages() && other.useZeroPages());
        if (members.size() - start > 1) {
            for (int i = start; i < members.size(); i++) {
                Member member = members.get(i);
                members.set(i, new Member(name + ":" + member.sketch.pid(), file, member.sketch));
            }
        }
    }

    private void lowerThreshold() {
        threshold = members.stream()
                        .mapToLong(member -> member.sketch.sample().threshold())
                        .min()
                        .orElse(threshold)
                / 2;
        members.replaceAll(member -> new Member(member.name, member.file, member.sketch.below(threshold)));
        contents = members.stream()
                .mapToLong(member -> member.sketch.sample().size())
                .sum();
    }

    Machine machine() {
        return machine;
    }

    List<Member> members() {
        return members;
    }

    List<Sketch> sketches() {
        return members.stream().map(Member::sketch).toList();
    }

    /** Returns the complete sketches of some members, by their index. Reads their files again if necessary. */
    Map<Integer, Sketch> complete(Set<Integer> indexes) throws IOException {
        Map<Integer, Sketch> sketches = new HashMap<>();
        if (threshold == Sample.ALL) {
            indexes.forEach(index -> sketches.put(index, members.get(index).sketch));
            return sketches;
        }
        Set<Path> files = new HashSet<>();
        for (int index : indexes) {
            files.add(members.get(index).file);
        }
        int next = 0;
        while (next < members.size()) {
            Path file = members.get(next).file;
            int start = next;
            while (next < members.size() && members.get(next).file.equals(file)) {
                next++;
            }
            if (files.contains(file)) {
                List<Sketch> all = SketchFile.read(file);
                for (int i = start; i < next && i - start < all.size(); i++) {
                    if (indexes.contains(i)) {
                        sketches.put(i, all.get(i - start));
                    }
                }
            }
        }
        return sketches;
    }
}
