// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference.jvm;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import io.ksm4j.samples.measurement.MeasuredJvm;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** A JVM that loads a model, and executes the commands of its standard input until the input ends. */
final class InferenceJvm {

    /** Inferences before those that are timed. */
    private static final int WARM_UP = 3;

    private static final int OBJECT = 1000;

    private final OrtSession session;
    private final String inputName;
    private final OnnxTensor input;
    private final float[] output;
    private final List<byte[]> heap = new ArrayList<>();

    private InferenceJvm(String model, boolean isInArena) throws OrtException {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            // More threads would compete with those of the other JVMs.
            options.setIntraOpNumThreads(1);
            // Otherwise the arena keeps the memory of a copy of the weights that is not used any more.
            options.addConfigEntry("session.use_device_allocator_for_initializers", isInArena ? "0" : "1");
            session = environment.createSession(model, options);
        }
        inputName = session.getInputNames().iterator().next();
        TensorInfo info = (TensorInfo) session.getInputInfo().get(inputName).getInfo();
        float[] values = new float[(int) info.getShape()[1]];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) Math.sin(i);
        }
        input = OnnxTensor.createTensor(environment, FloatBuffer.wrap(values), info.getShape());
        output = infer();
    }

    /** Runs the JVM. The arguments are the file of the model, and whether its weights are loaded into the arena. */
    public static void main(String[] args) throws IOException, OrtException {
        InferenceJvm jvm = new InferenceJvm(args[0], Boolean.parseBoolean(args[1]));
        System.gc();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.out.println(MeasuredJvm.READY);
        String command;
        while ((command = commands.readLine()) != null) {
            jvm.execute(command.split(" ", -1));
            System.out.println(MeasuredJvm.READY);
        }
    }

    private void execute(String[] command) throws OrtException {
        switch (command[0]) {
            case "fill" -> fill(Long.parseLong(command[1]));
            case "infer" -> printNanos(Integer.parseInt(command[1]));
            default -> throw new IllegalArgumentException(command[0]);
        }
    }

    /** Fills the heap with objects that stay, as different in each JVM as those of a real application. */
    private void fill(long bytes) {
        SplittableRandom random = new SplittableRandom();
        for (long left = bytes; left > 0; left -= OBJECT) {
            byte[] object = new byte[OBJECT];
            random.nextBytes(object);
            heap.add(object);
        }
        System.gc();
    }

    private void printNanos(int count) throws OrtException {
        for (int i = 0; i < WARM_UP; i++) {
            infer();
        }
        long[] nanos = new long[count];
        for (int i = 0; i < count; i++) {
            long start = System.nanoTime();
            float[] now = infer();
            nanos[i] = System.nanoTime() - start;
            if (!Arrays.equals(now, output)) {
                throw new IllegalStateException("the same input has another output");
            }
        }
        Arrays.stream(nanos).forEach(System.out::println);
    }

    private float[] infer() throws OrtException {
        try (OrtSession.Result result = session.run(Map.of(inputName, input))) {
            return ((float[][]) result.get(0).getValue())[0];
        }
    }
}
