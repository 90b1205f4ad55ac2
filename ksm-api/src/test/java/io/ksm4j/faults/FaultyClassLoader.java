// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.faults;

import java.io.IOException;
import java.io.InputStream;
import java.util.Set;
import org.objectweb.asm.ClassReader;
import org.objectweb.asm.ClassVisitor;
import org.objectweb.asm.ClassWriter;
import org.objectweb.asm.Handle;
import org.objectweb.asm.Label;
import org.objectweb.asm.MethodVisitor;
import org.objectweb.asm.Opcodes;
import org.objectweb.asm.Type;

/**
 * Loads a copy of ksm4j that calls {@link Faults} at each allocation and at the beginning of each method. The classes
 * that drive it in tests are loaded unchanged.
 */
public final class FaultyClassLoader extends ClassLoader {

    private static final String FAULTS = Type.getInternalName(Faults.class);

    /** JDK methods that allocate nothing and call hardly any other methods once they have been called before. */
    private static final Set<String> PLAIN = Set.of(
            "java/lang/Object",
            "java/lang/Math",
            "java/lang/System",
            "java/lang/Integer.intValue",
            "java/lang/Long.numberOfTrailingZeros",
            "java/lang/Thread.onSpinWait",
            "java/lang/Thread.interrupted",
            "java/lang/Thread.currentThread",
            "java/lang/Thread.getId",
            "java/lang/invoke/VarHandle",
            "java/lang/ref/Reference",
            "java/nio/ByteBuffer.get",
            "java/nio/ByteBuffer.limit",
            "java/nio/ByteBuffer.position",
            "java/nio/ByteBuffer.put",
            "java/nio/ByteBuffer.remaining",
            "java/util/Arrays.equals",
            "java/util/Arrays.fill",
            "java/lang/ref/Cleaner$Cleanable.clean",
            "java/util/List.get",
            "java/util/List.size",
            "java/util/List.isEmpty",
            "java/util/Map.remove",
            "java/util/concurrent/atomic/AtomicBoolean",
            "java/util/concurrent/atomic/AtomicInteger",
            "java/util/concurrent/atomic/AtomicLong",
            "java/util/concurrent/atomic/AtomicLongArray",
            "java/util/concurrent/atomic/AtomicReference",
            "java/util/concurrent/atomic/AtomicReferenceArray",
            "java/util/concurrent/locks/LockSupport.unpark",
            "java/util/concurrent/locks/ReentrantLock.tryLock",
            "java/util/concurrent/locks/ReentrantLock.unlock",
            "java/util/function/BooleanSupplier.getAsBoolean",
            "java/util/function/IntPredicate.test",
            "java/lang/Runnable.run",
            "jdk/jfr/FlightRecorder.isInitialized");

    private final Set<String> unchanged;

    /**
     * @param unchanged the classes that are loaded without faults
     */
    public FaultyClassLoader(Set<String> unchanged) {
        super(FaultyClassLoader.class.getClassLoader());
        this.unchanged = unchanged;
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
        if (!name.startsWith("io.ksm4j.")
                || name.startsWith("io.ksm4j.faults.")
                || name.startsWith("io.ksm4j.testsupport.")) {
            return super.loadClass(name, resolve);
        }
        synchronized (getClassLoadingLock(name)) {
            Class<?> loaded = findLoadedClass(name);
            return loaded != null ? loaded : define(name);
        }
    }

    private Class<?> define(String name) throws ClassNotFoundException {
        try (InputStream file = getParent().getResourceAsStream(name.replace('.', '/') + ".class")) {
            if (file == null) {
                throw new ClassNotFoundException(name);
            }
            byte[] bytes = file.readAllBytes();
            String outermost = name.replaceFirst("\\$.*", "");
            byte[] faulty = unchanged.contains(outermost) ? bytes : withFaults(bytes);
            return defineClass(name, faulty, 0, faulty.length);
        } catch (IOException e) {
            throw new ClassNotFoundException(name, e);
        }
    }

    private static byte[] withFaults(byte[] bytes) {
        ClassWriter writer = new ClassWriter(ClassWriter.COMPUTE_FRAMES);
        new ClassReader(bytes).accept(new FaultyClass(writer), ClassReader.SKIP_FRAMES);
        return writer.toByteArray();
    }

    private static final class FaultyClass extends ClassVisitor {

        FaultyClass(ClassVisitor next) {
            super(Opcodes.ASM9, next);
        }

        @Override
        public MethodVisitor visitMethod(
                int access, String name, String descriptor, String signature, String[] exceptions) {
            MethodVisitor next = super.visitMethod(access, name, descriptor, signature, exceptions);
            boolean hasBody = (access & (Opcodes.ACC_ABSTRACT | Opcodes.ACC_NATIVE)) == 0;
            return hasBody && !name.equals("<clinit>") ? new FaultyMethod(next, !name.equals("<init>")) : next;
        }
    }

    private static final class FaultyMethod extends MethodVisitor {

        private final boolean countsDepth;
        private final Label begin = new Label();
        private final Label end = new Label();

        FaultyMethod(MethodVisitor next, boolean countsDepth) {
            super(Opcodes.ASM9, next);
            this.countsDepth = countsDepth;
        }

        private void ask(String method) {
            super.visitMethodInsn(Opcodes.INVOKESTATIC, FAULTS, method, "()V", false);
        }

        @Override
        public void visitCode() {
            super.visitCode();
            if (countsDepth) {
                ask("enter");
                super.visitLabel(begin);
            }
        }

        @Override
        public void visitMaxs(int maxStack, int maxLocals) {
            if (countsDepth) {
                super.visitLabel(end);
                super.visitTryCatchBlock(begin, end, end, null);
                ask("exit");
                super.visitInsn(Opcodes.ATHROW);
            }
            super.visitMaxs(maxStack, maxLocals);
        }

        @Override
        public void visitInsn(int opcode) {
            boolean returns = opcode >= Opcodes.IRETURN && opcode <= Opcodes.RETURN;
            if (returns && countsDepth) {
                ask("exit");
            }
            super.visitInsn(opcode);
        }

        @Override
        public void visitTypeInsn(int opcode, String type) {
            if (opcode == Opcodes.NEW || opcode == Opcodes.ANEWARRAY) {
                ask("allocation");
            }
            super.visitTypeInsn(opcode, type);
        }

        @Override
        public void visitIntInsn(int opcode, int operand) {
            if (opcode == Opcodes.NEWARRAY) {
                ask("allocation");
            }
            super.visitIntInsn(opcode, operand);
        }

        @Override
        public void visitInvokeDynamicInsn(String name, String descriptor, Handle bootstrap, Object... arguments) {
            ask("allocation");
            ask("jdkCall");
            super.visitInvokeDynamicInsn(name, descriptor, bootstrap, arguments);
        }

        @Override
        public void visitMethodInsn(int opcode, String owner, String name, String descriptor, boolean isInterface) {
            boolean isJdk = owner.startsWith("java/") || owner.startsWith("javax/") || owner.startsWith("jdk/");
            if (isJdk && !PLAIN.contains(owner) && !PLAIN.contains(owner + "." + name)) {
                ask("allocation");
                ask("jdkCall");
            }
            super.visitMethodInsn(opcode, owner, name, descriptor, isInterface);
        }
    }
}
